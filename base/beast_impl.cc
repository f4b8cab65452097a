// SPDX-License-Identifier: Apache-2.0
// The one place where Boost.Beast is compiled (BOOST_BEAST_SEPARATE_COMPILATION): of it, the HTTP
// parser is all that we use.  boost/beast/src.hpp would add WebSocket, zlib and files.

#define BOOST_BEAST_SOURCE
// What it asserts of chunked bodies does not hold for every peer's bytes ("0\r\n{", and then the
// rest): it goes on to an error all the same, as it does in a release.
#define BOOST_DISABLE_ASSERTS

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
