# Puts the scripts together into a header of string literals.
#   cmake -D OUT=script.hpp "-DFILES=lua/begin.lua;lua/clock.lua;…" "-DRARE=queries;…" -P embed_lua.cmake
# NAME, where given, is what the parts are called.
# The first file and the last are taken as they are; each between them becomes a block, so that what
# is local in a file stays in it (a function of Lua holds 200 locals), or, if it is rarely needed, a
# function in `parts`.
cmake_minimum_required(VERSION 3.25)
list(LENGTH FILES count)
math(EXPR last "${count} - 1")
set(text "#pragma once\n\n#include <string_view>\n\nnamespace millrace::engine_redis {\n\n")
if(NOT NAME)
  set(NAME script_parts)
endif()
string(APPEND text "inline constexpr std::string_view ${NAME}[] = {\n")
foreach(index RANGE ${last})
  list(GET FILES ${index} file)
  file(READ ${file} body)
  get_filename_component(name ${file} NAME_WE)
  if(name IN_LIST RARE)
    set(body "function parts.${name}()\n${body}end\n")
  elseif(index GREATER 0 AND index LESS last)
    set(body "do\n${body}end\n")
  endif()
  # A literal may be 64 KiB long.
  string(APPEND text "R\"lua(${body})lua\",\n")
endforeach()
string(APPEND text "};\n\n}  // namespace millrace::engine_redis\n")
file(WRITE ${OUT} "${text}")
