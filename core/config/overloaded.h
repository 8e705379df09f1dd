// Lambdas joined into one visitor of a std::variant: std::visit(Overloaded{[](int) {…}, …}, value).
#pragma once

namespace lockstep {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

}  // namespace lockstep
