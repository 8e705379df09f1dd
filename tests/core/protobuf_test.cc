// The wire format against the examples of protobuf.dev/programming-guides/encoding.
#include "core/protobuf.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using namespace std::string_literals;

TEST(ProtoMessage, WritesVarintsSevenBitsAByte) {
  ProtoMessage message;
  message.integer(1, 150);
  EXPECT_EQ(message.text(), "\x08\x96\x01"s);
}

TEST(ProtoMessage, WritesNegativeNumbersAsTenBytes) {
  ProtoMessage message;
  message.integer(1, -2);
  EXPECT_EQ(message.text(), "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"s);
}

TEST(ProtoMessage, WritesTextsAndMessagesWithTheirLength) {
  ProtoMessage inner, outer;
  inner.integer(1, 150);
  outer.bytes(2, "testing");
  outer.message(3, inner);
  EXPECT_EQ(outer.text(), "\x12\x07testing\x1a\x03\x08\x96\x01"s);
}

TEST(ProtoMessage, WritesKeysAboveFifteenAsTwoBytes) {
  ProtoMessage message;
  message.integer(20, 1);
  EXPECT_EQ(message.text(), "\xa0\x01\x01"s);
}

TEST(ProtoMessage, WritesFloatsAsFourBytes) {
  ProtoMessage message;
  message.real(2, 1.5f);
  EXPECT_EQ(message.text(), "\x15\x00\x00\xc0\x3f"s);
}

}  // namespace
}  // namespace lockstep
