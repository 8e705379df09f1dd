// Decodes damaged PNG and JPEG files: the pictures given, with bytes changed, blocks cut out,
// doubled or swapped, under AddressSanitizer and UndefinedBehaviorSanitizer. Every file must decode
// or be refused with an Error; anything else ends the program.
//
//   decode_fuzz COUNT FILE...     COUNT damaged files, each a pure function of its number
//
// For PNG the checksums of chunks are made right again in half of the cases, else few faults would
// get past them.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <zlib.h>

#include "core/errors.h"
#include "data/images/decode_image.h"
#include "data/images/image_fit.h"

namespace {

using Bytes = std::vector<uint8_t>;

uint32_t u32(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

void mend_checksums(Bytes& png) {
  for (size_t at = 8; at + 12 <= png.size();) {
    const size_t length = u32(&png[at]);
    if (length > png.size() - at - 12) return;
    const auto sum = static_cast<uint32_t>(::crc32(0, &png[at + 4], static_cast<uInt>(length + 4)));
    for (int i = 0; i < 4; ++i)
      png[at + 8 + length + static_cast<size_t>(i)] = static_cast<uint8_t>(sum >> (24 - 8 * i));
    at += 12 + length;
  }
}

Bytes damaged(Bytes bytes, std::mt19937_64& random) {
  const auto below = [&](size_t n) {
    return static_cast<size_t>(random() % std::max<size_t>(n, 1));
  };
  for (size_t count = 1 + below(8); count > 0 && !bytes.empty(); --count) {
    const size_t at = below(bytes.size()), length = std::min(bytes.size() - at, 1 + below(64));
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(at),
               last = first + static_cast<std::ptrdiff_t>(length);
    switch (below(7)) {
      case 0:
        bytes[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:
        bytes[at] = static_cast<uint8_t>(random());
        break;
      case 2:
        bytes[at] = below(2) == 0 ? 0 : 255;
        break;
      case 3:
        bytes.erase(first, last);
        break;
      case 4: {
        const Bytes copy(first, last);
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())), copy.begin(),
                     copy.end());
        break;
      }
      case 5:
        std::generate(first, last, [&] { return static_cast<uint8_t>(random()); });
        break;
      default:
        if (below(4) == 0) bytes.resize(at);
    }
  }
  if (bytes.size() > 8 && bytes[0] == 0x89 && below(2) == 0) mend_checksums(bytes);
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fputs("usage: decode_fuzz COUNT FILE...\n", stderr), 2;
  const long count = std::atol(argv[1]);
  std::vector<Bytes> seeds;
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  long decoded = 0, refused = 0;
  lockstep::ImageFitOptions options;
  options.size = 16;
  for (long i = 0; i < count; ++i) {
    std::mt19937_64 random(static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15u + 1);
    const Bytes bytes = damaged(seeds[static_cast<size_t>(i) % seeds.size()], random);
    try {
      lockstep::DecodedImage image = lockstep::decode_image(bytes);
      options.resize = i % 3 == 0 ? "stretch" : i % 3 == 1 ? "shorter_side" : "box";
      lockstep::fit_image(std::move(image.pixels), image.orientation, options);
      ++decoded;
    } catch (const lockstep::Error&) {
      ++refused;
    }
  }
  std::printf("%ld damaged files: %ld decoded, %ld refused\n", count, decoded, refused);
  return 0;
}
