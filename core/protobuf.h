// The wire format of Protocol Buffers, as far as writing ONNX files and
// TensorBoard's events needs it.
//
// A message is a row of fields: a key (number · 8 + wire type) and a value, either a varint, four
// bytes, or a length and bytes (protobuf.dev/programming-guides/encoding). Written here by hand
// because libprotobuf must not be in one process with LibTorch, which carries a copy of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

// The bytes of one message. Fields come in the order of the calls; a repeated field is a repeated
// call.
class ProtoMessage {
 public:
  void integer(int field, int64_t value);  // int32, int64, enum; negative ones take ten bytes
  void real(int field, float value);
  void real64(int field, double value);
  void bytes(int field, std::string_view value);  // string, bytes
  void message(int field, const ProtoMessage& value) { bytes(field, value.text()); }
  // Key and length of a field whose `size` bytes the caller writes next.
  void begin_bytes(int field, uint64_t size);
  const std::string& text() const { return text_; }

 private:
  void varint(uint64_t value);
  std::string text_;
};

}  // namespace lockstep
