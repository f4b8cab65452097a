// SPDX-License-Identifier: Apache-2.0
#pragma once

// Boost.Asio under one short name, with the few headers that every coroutine needs.  What a .cc
// needs beyond these (timers, sockets, co_spawn) it includes itself: they are slow to compile.
//
// Asio and Beast are compiled once, in asio_impl.cc and beast_impl.cc.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace bramble {
namespace asio = boost::asio;
}
