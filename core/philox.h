// Counter-based random numbers: the same (seed, purpose, id, step, element)
// gives the same number on every rank, in every order, after every resume.
//
// Philox4x32-10, Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
// SC 2011. Key and counter layout: design rule "Randomness" (docs/formats.md).
#pragma once

#include <array>
#include <cstdint>

namespace lockstep {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

// `rounds` is 10 for random numbers; the sample order uses its own 8.
PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key, int rounds = 10);

// Its constants, for code that computes many blocks at once.
inline constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53, kPhiloxMultiplier1 = 0xCD9E8D57;
inline constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9, kPhiloxWeyl1 = 0xBB67AE85;

// Vigna's SplitMix64: adds the golden gamma, then mixes.
uint64_t splitmix64(uint64_t x);

// What a stream is for. The numbers are part of the promise "same config, same
// bits": never change one, only add.
enum class Purpose : uint64_t {
  kOrder = 1,     // sample order
  kMixture = 2,   // which source a sample comes from
  kMask = 3,      // which cells are hidden (sudoku)
  kSymmetry = 4,  // symmetry shuffles, flips
  kDropout = 5,
  kTimestep = 6,    // diffusion time
  kNoise = 7,       // diffusion noise
  kSampling = 8,    // drawing from a model
  kEvaluation = 9,  // what evaluation hides or draws
  kPacking = 10,
  kDataMaking = 11,    // synthetic data
  kVerification = 12,  // random half-splits of the guess-and-check decoder
  kSplit = 13,         // which samples of converted data are held out
  kSweep = 20,         // random points of a sweep
  kTest = 1000
};

// The four numbers of one block as uniforms and as normals: what Stream gives element by element.
std::array<float, 4> uniform4(const PhiloxCounter& block);
std::array<float, 4> normal4(const PhiloxCounter& block);

// Random numbers of one purpose. Copyable, stateless apart from its key.
class Stream {
 public:
  Stream(uint64_t seed, Purpose purpose);

  // 32 random bits for (id, step, element). `id` is a sample or slot index; element < 2^34.
  uint32_t bits(uint64_t id, uint32_t step, uint64_t element) const;
  // [0, 1): (u >> 8) * 2^-24, exactly representable in float.
  float uniform(uint64_t id, uint32_t step, uint64_t element) const;
  // Standard normal by Box-Muller (core/box_muller.h) in double from elements 2k, 2k+1; rounded
  // once.
  float normal(uint64_t id, uint32_t step, uint64_t element) const;
  // Integer in [0, n), n >= 1: ⌊u·n / 2^32⌋ (bias below n/2^32).
  uint32_t below(uint64_t id, uint32_t step, uint64_t element, uint32_t n) const;
  // The 32-bit numbers of the four elements 4·block … 4·block + 3 at once.
  PhiloxCounter block(uint64_t id, uint32_t step, uint32_t block) const;
  PhiloxKey key() const { return key_; }

 private:
  PhiloxKey key_;
};

// Elements 0 … count−1 of (id, step): what Stream::uniform and Stream::normal give one by one, many
// at a time. count < 2^34.
void uniform_row(const Stream& stream, uint64_t id, uint32_t step, float* out, int64_t count);
void normal_row(const Stream& stream, uint64_t id, uint32_t step, float* out, int64_t count);

}  // namespace lockstep
