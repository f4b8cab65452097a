// SPDX-License-Identifier: Apache-2.0
// Sends frames as they are: `raw-send INTERFACE`, one frame a line of hexadecimal digits on
// standard input.  Static, so that it runs in any container.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

namespace {

int Nibble(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool Decode(const std::string& line, std::string& frame) {
  frame.clear();
  for (size_t i = 0; i + 1 < line.size(); i += 2) {
    const int high = Nibble(line[i]);
    const int low = Nibble(line[i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    frame += static_cast<char>(high << 4 | low);
  }
  return frame.size() >= ETH_HLEN && line.size() % 2 == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  sockaddr_ll to = {};
  to.sll_family = AF_PACKET;
  to.sll_halen = ETH_ALEN;
  to.sll_ifindex = argc == 2 ? static_cast<int>(if_nametoindex(argv[1])) : 0;
  if (fd < 0 || to.sll_ifindex == 0) {
    perror("raw-send");
    return 2;
  }
  int sent = 0;
  std::string frame;
  for (std::string line; std::getline(std::cin, line);) {
    if (!Decode(line, frame)) {
      fprintf(stderr, "raw-send: not a frame: %s\n", line.c_str());
      return 2;
    }
    memcpy(to.sll_addr, frame.data(), ETH_ALEN);
    if (sendto(fd, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to),
               sizeof(to)) != static_cast<ssize_t>(frame.size())) {
      perror("raw-send");
      return 1;
    }
    ++sent;
  }
  printf("%d\n", sent);
  return 0;
}
