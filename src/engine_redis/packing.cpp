#include "packing.hpp"

#include <bit>
#include <limits>

namespace millrace::engine_redis {
namespace {

// The first byte of a value, as the format numbers its kinds.
enum type : unsigned char {
  small_map = 0x80,
  small_array = 0x90,
  small_text = 0xa0,
  nothing = 0xc0,
  no = 0xc2,
  yes = 0xc3,
  float_32 = 0xca,
  float_64 = 0xcb,
  natural_8 = 0xcc,
  integer_8 = 0xd0,
  integer_64 = 0xd3,
  text_8 = 0xd9,
  text_16 = 0xda,
  text_32 = 0xdb,
  array_16 = 0xdc,
  array_32 = 0xdd,
  negative = 0xe0,
};

constexpr char byte(unsigned value) { return static_cast<char>(static_cast<unsigned char>(value)); }

}  // namespace

void packer::big_endian(char type, std::uint64_t value, int bytes) {
  out_.push_back(type);
  for (int i = bytes - 1; i >= 0; --i) {
    out_.push_back(byte(static_cast<unsigned>(value >> (8 * static_cast<unsigned>(i))) & 0xffU));
  }
}

packer& packer::nil() {
  out_.push_back(byte(nothing));
  return *this;
}

packer& packer::add(bool value) {
  out_.push_back(byte(value ? yes : no));
  return *this;
}

packer& packer::add(std::string_view text) {
  if (text.size() < 32) {
    out_.push_back(byte(small_text | static_cast<unsigned>(text.size())));
  } else if (text.size() <= std::numeric_limits<std::uint8_t>::max()) {
    big_endian(byte(text_8), text.size(), 1);
  } else if (text.size() <= std::numeric_limits<std::uint16_t>::max()) {
    big_endian(byte(text_16), text.size(), 2);
  } else {
    big_endian(byte(text_32), text.size(), 4);
  }
  out_ += text;
  return *this;
}

packer& packer::add(double value) {
  big_endian(byte(float_64), std::bit_cast<std::uint64_t>(value), 8);
  return *this;
}

packer& packer::add_integer(std::int64_t value) {
  if (value >= 0 && value < 128) {
    out_.push_back(byte(static_cast<unsigned>(value)));
  } else {
    big_endian(byte(integer_64), static_cast<std::uint64_t>(value), 8);
  }
  return *this;
}

packer& packer::array(std::size_t values) {
  if (values < 16) {
    out_.push_back(byte(small_array | static_cast<unsigned>(values)));
  } else {
    big_endian(byte(array_32), values, 4);
  }
  return *this;
}

unsigned char unpacker::take_type() {
  if (rest_.empty()) {
    fail();
    return nothing;
  }
  const auto type = static_cast<unsigned char>(rest_.front());
  rest_.remove_prefix(1);
  return type;
}

std::uint64_t unpacker::take_big_endian(int bytes) {
  if (rest_.size() < static_cast<std::size_t>(bytes)) {
    fail();
    return 0;
  }
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) {
    value = value << 8U | static_cast<unsigned char>(rest_[static_cast<std::size_t>(i)]);
  }
  rest_.remove_prefix(static_cast<std::size_t>(bytes));
  return value;
}

bool unpacker::nil() {
  if (rest_.empty() || static_cast<unsigned char>(rest_.front()) != nothing) return false;
  rest_.remove_prefix(1);
  return true;
}

std::int64_t unpacker::integer() {
  const unsigned char type = take_type();
  if (failed_) return 0;
  if (type < small_map) return type;
  if (type >= negative) return static_cast<std::int8_t>(type);
  switch (type) {
    case natural_8: return static_cast<std::int64_t>(take_big_endian(1));
    case natural_8 + 1: return static_cast<std::int64_t>(take_big_endian(2));
    case natural_8 + 2: return static_cast<std::int64_t>(take_big_endian(4));
    case natural_8 + 3: return static_cast<std::int64_t>(take_big_endian(8));
    case integer_8: return static_cast<std::int8_t>(take_big_endian(1));
    case integer_8 + 1: return static_cast<std::int16_t>(take_big_endian(2));
    case integer_8 + 2: return static_cast<std::int32_t>(take_big_endian(4));
    case integer_64: return static_cast<std::int64_t>(take_big_endian(8));
    default: fail(); return 0;
  }
}

bool unpacker::boolean() {
  const unsigned char type = take_type();
  if (type != yes && type != no) fail();
  return type == yes;
}

std::string_view unpacker::text() {
  const unsigned char type = take_type();
  std::size_t bytes = 0;
  if ((type & 0xe0U) == small_text) {
    bytes = type & 0x1fU;
  } else if (type == text_8) {
    bytes = take_big_endian(1);
  } else if (type == text_16) {
    bytes = take_big_endian(2);
  } else if (type == text_32) {
    bytes = take_big_endian(4);
  } else {
    fail();
  }
  if (rest_.size() < bytes) fail();
  if (failed_) return {};
  const std::string_view found = rest_.substr(0, bytes);
  rest_.remove_prefix(bytes);
  return found;
}

double unpacker::real() {
  const auto type = static_cast<unsigned char>(rest_.empty() ? nothing : rest_.front());
  if (type != float_32 && type != float_64) return static_cast<double>(integer());
  rest_.remove_prefix(1);
  if (type == float_64) return std::bit_cast<double>(take_big_endian(8));
  return std::bit_cast<float>(static_cast<std::uint32_t>(take_big_endian(4)));
}

std::string_view unpacker::raw(std::int64_t bytes) {
  if (bytes < 0 || static_cast<std::uint64_t>(bytes) > rest_.size()) {
    fail();
    return {};
  }
  const std::string_view out = rest_.substr(0, static_cast<std::size_t>(bytes));
  rest_.remove_prefix(out.size());
  return out;
}

std::size_t unpacker::array() {
  const unsigned char type = take_type();
  if ((type & 0xf0U) == small_array) return type & 0x0fU;
  if (type == array_16) return take_big_endian(2);
  if (type == array_32) return take_big_endian(4);
  // An empty table of Lua is an empty map.
  if (type != small_map) fail();
  return 0;
}

}  // namespace millrace::engine_redis
