// Many Philox blocks at once. See core/philox.h.
#include <algorithm>

#include "core/box_muller.h"
#include "core/clones.h"
#include "core/philox.h"

namespace lockstep {
namespace {

constexpr int64_t kBlocks = 64;  // at a time

// The four words of blocks first … first + kBlocks − 1, word by word.
struct Words {
  uint32_t c[4][kBlocks];
};

[[gnu::always_inline]] inline void philox_blocks(PhiloxKey key, uint64_t id, uint32_t step,
                                                 uint32_t first, Words& w) {
  for (int64_t i = 0; i < kBlocks; ++i) {
    w.c[0][i] = first + static_cast<uint32_t>(i);
    w.c[1][i] = step;
    w.c[2][i] = static_cast<uint32_t>(id);
    w.c[3][i] = static_cast<uint32_t>(id >> 32);
  }
  for (int round = 0; round < 10; ++round) {
    for (int64_t i = 0; i < kBlocks; ++i) {
      const uint64_t p0 = uint64_t{kPhiloxMultiplier0} * w.c[0][i],
                     p1 = uint64_t{kPhiloxMultiplier1} * w.c[2][i];
      w.c[0][i] = static_cast<uint32_t>(p1 >> 32) ^ w.c[1][i] ^ key[0];
      w.c[1][i] = static_cast<uint32_t>(p1);
      w.c[2][i] = static_cast<uint32_t>(p0 >> 32) ^ w.c[3][i] ^ key[1];
      w.c[3][i] = static_cast<uint32_t>(p0);
    }
    key[0] += kPhiloxWeyl0;
    key[1] += kPhiloxWeyl1;
  }
}

}  // namespace

LOCKSTEP_CLONES void normal_row(const Stream& stream, uint64_t id, uint32_t step, float* out,
                                int64_t count) {
  Words words;
  float normals[4][kBlocks];
  for (int64_t done = 0; done < count; done += 4 * kBlocks) {
    philox_blocks(stream.key(), id, step, static_cast<uint32_t>(done / 4), words);
    for (int pair = 0; pair < 4; pair += 2) {
      for (int64_t i = 0; i < kBlocks; ++i) {
        const TwoDoubles two = box_muller(words.c[pair][i], words.c[pair + 1][i]);
        normals[pair][i] = static_cast<float>(two.first);
        normals[pair + 1][i] = static_cast<float>(two.second);
      }
    }
    const int64_t some = std::min<int64_t>(4 * kBlocks, count - done);
    for (int64_t i = 0; i < some; ++i) out[done + i] = normals[i % 4][i / 4];
  }
}

LOCKSTEP_CLONES void uniform_row(const Stream& stream, uint64_t id, uint32_t step, float* out,
                                 int64_t count) {
  Words words;
  for (int64_t done = 0; done < count; done += 4 * kBlocks) {
    philox_blocks(stream.key(), id, step, static_cast<uint32_t>(done / 4), words);
    const int64_t some = std::min<int64_t>(4 * kBlocks, count - done);
    for (int64_t i = 0; i < some; ++i)
      out[done + i] = static_cast<float>(words.c[i % 4][i / 4] >> 8) * 0x1p-24f;
  }
}

}  // namespace lockstep
