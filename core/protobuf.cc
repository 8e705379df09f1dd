#include "core/protobuf.h"

#include <cstring>

namespace lockstep {
namespace {

enum WireType : uint64_t { kVarint = 0, kEightBytes = 1, kLength = 2, kFourBytes = 5 };

uint64_t key(int field, WireType type) { return static_cast<uint64_t>(field) << 3 | type; }

}  // namespace

void ProtoMessage::varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) text_.push_back(static_cast<char>(value | 0x80));
  text_.push_back(static_cast<char>(value));
}

void ProtoMessage::integer(int field, int64_t value) {
  varint(key(field, kVarint));
  varint(static_cast<uint64_t>(value));
}

void ProtoMessage::real(int field, float value) {
  varint(key(field, kFourBytes));
  char four[4];
  std::memcpy(four, &value, 4);  // little-endian machines only, as everywhere
  text_.append(four, 4);
}

void ProtoMessage::real64(int field, double value) {
  varint(key(field, kEightBytes));
  char eight[8];
  std::memcpy(eight, &value, 8);
  text_.append(eight, 8);
}

void ProtoMessage::bytes(int field, std::string_view value) {
  begin_bytes(field, value.size());
  text_.append(value);
}

void ProtoMessage::begin_bytes(int field, uint64_t size) {
  varint(key(field, kLength));
  varint(size);
}

}  // namespace lockstep
