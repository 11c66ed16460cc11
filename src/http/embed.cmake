# Writes a C++ source that holds a text file: cmake -DINPUT=… -DOUTPUT=… -DNAME=… -P embed.cmake
#
# The text goes in as string literals of a few kilobytes each, since compilers bound a literal's
# length, with a delimiter that no text of ours contains.
file(READ "${INPUT}" rest)
string(LENGTH "${rest}" left)
set(literals "")
while(left GREATER 0)
  string(SUBSTRING "${rest}" 0 8000 part)
  string(LENGTH "${part}" taken)
  string(SUBSTRING "${rest}" ${taken} -1 rest)
  string(LENGTH "${rest}" left)
  string(APPEND literals "\n    R\"millrace~(${part})millrace~\"")
endwhile()
file(WRITE "${OUTPUT}" "#include \"assets.hpp\"

namespace millrace::http::assets {

const std::string_view ${NAME} =${literals};

}  // namespace millrace::http::assets
")
