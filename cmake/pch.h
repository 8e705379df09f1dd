// What nearly every file that uses torch needs, compiled once. No torch::nn: networks here are
// plain parameters and functions (models/model.h), which keeps this header a third of the size
// of <torch/torch.h>.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/variable.h>
