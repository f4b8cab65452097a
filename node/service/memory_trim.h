// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bramble::node {

// Gives back what this process holds and does not use: freed memory, and the pages of programs and
// libraries that starting up or the last order ran through.  The latter stay in the kernel's cache
// and come back, without the disk, when they are needed; until then they count for nobody, and the
// kernel may have them for something else.  Takes about a millisecond.
void TrimMemory();

}  // namespace bramble::node
