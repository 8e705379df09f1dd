// Options that are one of a few words: a word in YAML, in plan.json and in messages, an enum in the
// program. The word is parsed once, where it is read.
//
//     enum class Reduce { kAuto, kTree, kAllReduce };
//     template <>
//     inline constexpr std::array kWords<Reduce> = {"auto", "tree", "allreduce"};
//
//     visit_word(visit, "reduce", reduce, "how gradients are added");   // in a list of fields
#pragma once

#include <array>
#include <string>

#include "core/config/fields.h"
#include "core/errors.h"

namespace lockstep {

// The words of an enum, in the order of its values, which count from 0.
template <class Enum>
inline constexpr std::array<const char*, 0> kWords = {};

template <class Enum>
std::string word_of(Enum value) {
  return kWords<Enum>.at(static_cast<size_t>(value));
}

// Throws ConfigError for a word that is none of the enum's.
template <class Enum>
Enum value_of(const std::string& word) {
  std::string known;
  for (size_t i = 0; i < kWords<Enum>.size(); ++i) {
    if (word == kWords<Enum>[i]) return static_cast<Enum>(i);
    known += (i == 0 ? "" : ", ") + std::string(kWords<Enum>[i]);
  }
  throw ConfigError("the word '" + word + "' is not known", "it is one of " + known);
}

// The field `name` in a list of fields: visitors see a text with these words.
template <class Enum>
void visit_word(FieldVisitor& visit, const char* name, Enum& value, const char* doc) {
  std::string word = word_of(value);
  visit(name, word, OneOf{{kWords<Enum>.begin(), kWords<Enum>.end()}}, doc);
  value = value_of<Enum>(word);
}

}  // namespace lockstep
