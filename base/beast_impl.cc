// SPDX-License-Identifier: Apache-2.0
// The one place where Boost.Beast is compiled (BOOST_BEAST_SEPARATE_COMPILATION): of it, the HTTP
// parser is all that we use.  boost/beast/src.hpp would add WebSocket, zlib and files.

#define BOOST_BEAST_SOURCE

#include <boost/beast/core/impl/error.ipp>
#include <boost/beast/core/impl/string.ipp>
#include <boost/beast/http/detail/basic_parser.ipp>
#include <boost/beast/http/detail/rfc7230.ipp>
#include <boost/beast/http/impl/basic_parser.ipp>
#include <boost/beast/http/impl/error.ipp>
#include <boost/beast/http/impl/field.ipp>
#include <boost/beast/http/impl/rfc7230.ipp>
#include <boost/beast/http/impl/status.ipp>
#include <boost/beast/http/impl/verb.ipp>
