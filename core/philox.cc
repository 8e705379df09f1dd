#include "core/philox.h"

#include "core/box_muller.h"

namespace lockstep {
namespace {

float unit(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

}  // namespace

PhiloxCounter philox4x32(PhiloxCounter c, PhiloxKey k, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    const uint64_t p0 = uint64_t{kPhiloxMultiplier0} * c[0],
                   p1 = uint64_t{kPhiloxMultiplier1} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += kPhiloxWeyl0;
    k[1] += kPhiloxWeyl1;
  }
  return c;
}

uint64_t splitmix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

Stream::Stream(uint64_t seed, Purpose purpose) {
  const uint64_t key = splitmix64(seed ^ splitmix64(static_cast<uint64_t>(purpose)));
  key_ = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
}

PhiloxCounter Stream::block(uint64_t id, uint32_t step, uint32_t block) const {
  return philox4x32({block, step, static_cast<uint32_t>(id), static_cast<uint32_t>(id >> 32)},
                    key_);
}

uint32_t Stream::bits(uint64_t id, uint32_t step, uint64_t element) const {
  return block(id, step, static_cast<uint32_t>(element / 4))[element % 4];
}

float Stream::uniform(uint64_t id, uint32_t step, uint64_t element) const {
  return unit(bits(id, step, element));
}

uint32_t Stream::below(uint64_t id, uint32_t step, uint64_t element, uint32_t n) const {
  return static_cast<uint32_t>((uint64_t{bits(id, step, element)} * n) >> 32);
}

float Stream::normal(uint64_t id, uint32_t step, uint64_t element) const {
  const PhiloxCounter four = block(id, step, static_cast<uint32_t>(element / 4));
  const size_t pair = (element % 4) & ~size_t{1};
  const TwoDoubles two = box_muller(four[pair], four[pair + 1]);
  return static_cast<float>(element % 2 == 0 ? two.first : two.second);
}

std::array<float, 4> uniform4(const PhiloxCounter& block) {
  return {unit(block[0]), unit(block[1]), unit(block[2]), unit(block[3])};
}

std::array<float, 4> normal4(const PhiloxCounter& block) {
  std::array<float, 4> out;
  for (size_t pair = 0; pair < 4; pair += 2) {
    const TwoDoubles two = box_muller(block[pair], block[pair + 1]);
    out[pair] = static_cast<float>(two.first);
    out[pair + 1] = static_cast<float>(two.second);
  }
  return out;
}

}  // namespace lockstep
