#include "ddp/tcp/meeting.h"

#include <c10/util/Logging.h>
#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <thread>

#include "core/errors.h"
#include "core/stop_flag.h"
#include "core/text_lines.h"
#include "ddp/communicator.h"

C10_DECLARE_int(caffe2_log_level);

namespace lockstep {

namespace {

constexpr const char* kMeeting = "the meeting of the ranks";
constexpr double kPollSeconds = 0.02;
constexpr double kRefusalSeconds =
    0.5;  // rank 0 keeps the store open so long for the others to read why

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A rank that is asked to stop before there is anything to save just ends.
void nap() {
  if (stop_requested())
    throw Error(ExitCode::kStopped, "stopped before the ranks had met: nothing was started", "",
                {});
  std::this_thread::sleep_for(std::chrono::duration<double>(kPollSeconds));
}

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

std::string reason(const std::exception& error) {
  const auto* ours = dynamic_cast<const c10::Error*>(&error);
  return first_line(ours != nullptr ? ours->what_without_backtrace() : error.what());
}

std::string port_help(int port) {
  return fmt::format(
      "another job may be running there (`ss -ltnp 'sport = :{}'` shows it): choose another "
      "MASTER_PORT "
      "(--master-port)",
      port);
}

// Numbers instead of names spare the store a second look-up. The socket must not listen yet: a
// client that connects before anybody serves would wait for an answer without a deadline.
c10::intrusive_ptr<c10d::TCPStore> open_store(const Address& master, double timeout_seconds,
                                              Socket* listener) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(master.port());
  options.isServer = listener != nullptr;
  options.waitWorkers = false;
  options.timeout =
      std::chrono::milliseconds(static_cast<int64_t>(1000 * std::max(timeout_seconds, 0.1)));
  if (listener != nullptr) options.masterListenFd = listener->release();
  return c10::make_intrusive<c10d::TCPStore>(master.host(), options);
}

std::string card_text(const RankCard& card) {
  return fmt::format("{} {} {} {}", card.size, card.host, card.port,
                     card.token.empty() ? "-" : card.token);
}

RankCard parse_card(const std::string& text, int rank) {
  RankCard card;
  std::istringstream words(text);
  if (!(words >> card.size >> card.host >> card.port >> card.token) || card.port < 1 ||
      card.port > 65'535)
    throw CommError(
        fmt::format("what stands for rank {} at the meeting is no card of Lockstep", rank),
        "start the same version of Lockstep on all nodes, and one job only at this master port");
  return card;
}

}  // namespace

struct Meeting::Store {
  c10::intrusive_ptr<c10d::TCPStore> store;
  std::string prefix;
};

Meeting::Meeting(const JobPlace& place, double timeout_seconds)
    : place_(place),
      timeout_seconds_(timeout_seconds),
      end_seconds_(now_seconds() + timeout_seconds),
      store_(std::make_unique<Store>()) {
  const Address master = resolve(place.master_address, place.master_port);
  own_address_ = own_address_towards(master);
  // A store of torchrun's agent has seen earlier attempts; one of ours is new.
  store_->prefix = fmt::format("lockstep/{}/", place.agent_store ? place.attempt : 0);
  const bool serves = place.rank == 0 && !place.agent_store;
  Socket listener;
  if (serves) {
    own_address_ = master.with_port(0);
    listener = place.master_socket >= 0 ? Socket(place.master_socket)
                                        : bind_at(master, port_help(master.port()));
  }
  // Found out here and not in the store's client, which would fill the terminal with warnings.
  while (!serves && !try_connect(master, std::nullopt, std::max(seconds_left(), 0.1))) {
    if (seconds_left() <= 0) {
      const std::string help = fmt::format(
          "nothing listens at {} ({}): rank 0 must run on that machine, with the same MASTER_ADDR "
          "and MASTER_PORT, and no firewall between",
          master.text(), place.master_address);
      throw CommError(fmt::format("{} did not arrive at '{}' within {:.3g} s (rank {} waited)",
                                  place.agent_store ? "torchrun" : "rank 0", kMeeting,
                                  timeout_seconds, place.rank),
                      help);
    }
    nap();
  }
  FLAGS_caffe2_log_level = 2;  // what the store's client would print, our errors say
  try {
    store_->store = open_store(master, seconds_left(), serves ? &listener : nullptr);
  } catch (const std::exception& error) {
    throw CommError(
        fmt::format("what listens at {} is no store for ranks: {}", master.text(), reason(error)),
        port_help(master.port()));
  }
}

Meeting::~Meeting() = default;

double Meeting::seconds_left() const { return end_seconds_ - now_seconds(); }

std::string Meeting::get(const std::string& key) {
  return text_of(store_->store->get(store_->prefix + key));
}

// All others shall fail with the same words, and soon.
void Meeting::refuse(const Error& error) {
  c10d::TCPStore& store = *store_->store;
  store.set(store_->prefix + "refused",
            bytes_of(fmt::format("{} {}", static_cast<int>(error.code()), error.fact())));
  if (place_.rank == 0 && !place_.agent_store)
    std::this_thread::sleep_for(std::chrono::duration<double>(kRefusalSeconds));
}

void Meeting::throw_if_refused() {
  if (!store_->store->check({store_->prefix + "refused"})) return;
  const std::string text = get("refused");
  const size_t space = std::min(text.find(' '), text.size());
  const bool late = text.substr(0, space) == std::to_string(static_cast<int>(ExitCode::kRanks));
  throw Error(late ? ExitCode::kRanks : ExitCode::kUsage,
              "the ranks cannot work together: " + text.substr(std::min(space + 1, text.size())),
              "start all ranks of one job in the same way", {});
}

void Meeting::take_seat() {
  c10d::TCPStore& store = *store_->store;
  if (store.add(fmt::format("{}seat/{}", store_->prefix, place_.rank), 1) > 1)
    throw ConfigError(fmt::format("two processes were started as rank {}", place_.rank),
                      "give every process its own RANK, and every node its own --node-rank");
  const auto mine = bytes_of(std::to_string(place_.size));
  const std::string size = text_of(store.compareSet(store_->prefix + "size", {}, mine));
  if (size != std::to_string(place_.size))
    throw ConfigError(fmt::format("rank {} was started with WORLD_SIZE {}, others with {}",
                                  place_.rank, place_.size, size),
                      "start as many ranks as WORLD_SIZE says, with the same number everywhere");
}

// The next card that is missing, waited for.
RankCard Meeting::wait_for_card(int rank) {
  c10d::TCPStore& store = *store_->store;
  const auto key = [&](int r) { return fmt::format("{}card/{}", store_->prefix, r); };
  while (!store.check({key(rank)})) {
    throw_if_refused();
    if (seconds_left() <= 0) {
      std::vector<int> late;
      for (int r = 0; r < place_.size; ++r)
        if (!store.check({key(r)})) late.push_back(r);
      throw late_error(kMeeting, place_.rank, timeout_seconds_, late);
    }
    nap();
  }
  return parse_card(text_of(store.get(key(rank))), rank);
}

std::vector<RankCard> Meeting::exchange_cards(const RankCard& mine) {
  try {
    try {
      take_seat();
      store_->store->set(fmt::format("{}card/{}", store_->prefix, place_.rank),
                         bytes_of(card_text(mine)));
      std::vector<RankCard> cards;
      for (int r = 0; r < place_.size; ++r) cards.push_back(wait_for_card(r));
      throw_if_refused();
      return cards;
    } catch (const Error& error) {
      refuse(error);
      throw;
    }
  } catch (const c10::Error& error) {
    throw CommError(fmt::format("rank 0 ended while rank {} was at '{}' ({})", place_.rank,
                                kMeeting, reason(error)),
                    "see the log of rank 0");
  }
}

void keep_for_next_attempt(const JobPlace& place, const std::string& key,
                           const std::string& value) {
  if (!place.agent_store) return;
  try {
    open_store(resolve(place.master_address, place.master_port), 10, nullptr)
        ->set("lockstep/kept/" + key, bytes_of(value));
  } catch (const c10::Error& error) {
    throw CommError("torchrun's store does not answer: " + reason(error));
  }
}

std::string kept_by_earlier_attempt(const JobPlace& place, const std::string& key) {
  if (!place.agent_store || place.attempt == 0) return "";
  try {
    const auto store = open_store(resolve(place.master_address, place.master_port), 10, nullptr);
    const std::string full = "lockstep/kept/" + key;
    return store->check({full}) ? text_of(store->get(full)) : "";
  } catch (const c10::Error& error) {
    throw CommError("torchrun's store does not answer: " + reason(error));
  }
}

}  // namespace lockstep
