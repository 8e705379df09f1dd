// Explicit tables of kinds: name → options, make.
//
// Each folder's plural header has a function returning its table, and plug-ins
// add rows to a copy of it before the config is read (design.md 2, "Kinds").
// There is no self-registration: what is in the table is what is listed.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/config/fields.h"

namespace lockstep {

// A table whose rows make an `Interface` from options and `Args`.
template <class Interface, class... Args>
class Table : public KindList {
 public:
  using KindList::KindList;

  // Adds a kind. `make(const OptionsStruct&, Args...)` gives unique_ptr<Interface>.
  template <class OptionsStruct, class Make>
  void add(std::string name, std::string doc, Make make) {
    if (find(name) != nullptr) throw ConfigError(what_ + " '" + name + "' is defined twice");
    rows_.push_back({std::move(name), std::move(doc),
                     [] { return std::make_unique<OptionsOf<OptionsStruct>>(); }});
    makers_.push_back([make](const Options& options, Args... args) -> std::unique_ptr<Interface> {
      return make(dynamic_cast<const OptionsOf<OptionsStruct>&>(options).value,
                  std::forward<Args>(args)...);
    });
  }

  std::unique_ptr<Interface> make(const Choice& choice, Args... args) const {
    for (size_t i = 0; i < rows_.size(); ++i)
      if (rows_[i].name == choice.kind)
        return makers_[i](*choice.options, std::forward<Args>(args)...);
    throw ConfigError("unknown " + what_ + " '" + choice.kind + "'");
  }

 private:
  std::vector<std::function<std::unique_ptr<Interface>(const Options&, Args...)>> makers_;
};

}  // namespace lockstep
