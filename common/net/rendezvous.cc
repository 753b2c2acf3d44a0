#include "common/net/rendezvous.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr size_t kMaxBytes = 64 << 20;  // of all keys and values
constexpr size_t kMaxKey = 4096;        // bytes
constexpr int kMaxKeys = 4096;          // in one call
constexpr size_t kMaxAnswered = 65536;  // sums kept for retries
constexpr size_t kKeyOverhead = 64;     // what an entry costs beside its bytes

}  // namespace

void Rendezvous::Clear() { *this = Rendezvous(); }

absl::StatusOr<std::optional<RendezvousReply>> Rendezvous::Do(const RendezvousRequest& request,
                                                              bool last) {
  if (request.keys().empty() || request.keys_size() > kMaxKeys) {
    return absl::InvalidArgumentError(absl::StrCat("the call has ", request.keys_size(),
                                                   " keys; 1 to ", kMaxKeys, " are allowed"));
  }
  for (const std::string& key : request.keys()) {
    if (key.empty() || key.size() > kMaxKey) {
      return absl::InvalidArgumentError(
          absl::StrCat("a key has ", key.size(), " bytes; 1 to ", kMaxKey, " are allowed"));
    }
  }
  const bool one_key =
      request.op() == RendezvousRequest::SET || request.op() == RendezvousRequest::ADD ||
      request.op() == RendezvousRequest::GET || request.op() == RendezvousRequest::COMPARE_SET;
  if (one_key && request.keys_size() != 1) {
    return absl::InvalidArgumentError("this operation takes exactly one key");
  }
  RendezvousReply reply;
  switch (request.op()) {
    case RendezvousRequest::SET:
      RETURN_IF_ERROR(Set(request.keys(0), request.value()));
      reply.set_found(true);
      return reply;
    case RendezvousRequest::ADD: {
      ASSIGN_OR_RETURN(reply, Add(request));
      return reply;
    }
    case RendezvousRequest::COMPARE_SET: {
      ASSIGN_OR_RETURN(reply, CompareSet(request));
      return reply;
    }
    case RendezvousRequest::GET:
    case RendezvousRequest::WAIT:
      return Find(request, last);
    case RendezvousRequest::CHECK:
      // CHECK never waits: it answers found = false at once where WAIT would be tried again.
      return Find(request, /*last=*/true);
    case RendezvousRequest::DELETE: {
      int64_t removed = 0;
      for (const std::string& key : request.keys()) {
        auto it = values_.find(key);
        if (it == values_.end()) continue;
        bytes_ -= kKeyOverhead + key.size() + it->second.size();
        values_.erase(it);
        ++removed;
      }
      reply.set_found(removed == request.keys_size());
      reply.set_sum(removed);
      return reply;
    }
    default:
      return absl::InvalidArgumentError("op is unknown");
  }
}

absl::Status Rendezvous::Set(const std::string& key, const std::string& value) {
  auto it = values_.find(key);
  // The limit counts the change, so that a key can be replaced when it is reached.
  const size_t before = it == values_.end() ? 0 : kKeyOverhead + key.size() + it->second.size();
  const size_t after = kKeyOverhead + key.size() + value.size();
  if (bytes_ - before + after > kMaxBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the rendezvous keys of this term exceed ", kMaxBytes, " bytes"));
  }
  bytes_ = bytes_ - before + after;
  values_[key] = value;
  return absl::OkStatus();
}

absl::StatusOr<RendezvousReply> Rendezvous::Add(const RendezvousRequest& request) {
  RendezvousReply reply;
  reply.set_found(true);
  if (request.id().empty()) return absl::InvalidArgumentError("ADD needs an id");
  if (auto it = answered_.find(request.id()); it != answered_.end()) {
    reply.set_sum(it->second);
    return reply;
  }
  int64_t value = 0;
  auto it = values_.find(request.keys(0));
  if (it != values_.end() && !absl::SimpleAtoi(it->second, &value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("ADD to key ", request.keys(0), ", whose value is not a number"));
  }
  int64_t sum = 0;
  if (__builtin_add_overflow(value, request.amount(), &sum)) {
    return absl::InvalidArgumentError("ADD overflows");
  }
  RETURN_IF_ERROR(Set(request.keys(0), absl::StrCat(sum)));
  answered_[request.id()] = sum;
  answered_order_.push_back(request.id());
  if (answered_order_.size() > kMaxAnswered) {
    answered_.erase(answered_order_.front());
    answered_order_.pop_front();
  }
  reply.set_sum(sum);
  return reply;
}

absl::StatusOr<RendezvousReply> Rendezvous::CompareSet(const RendezvousRequest& request) {
  RendezvousReply reply;
  reply.set_found(true);
  auto it = values_.find(request.keys(0));
  // As c10d's TCPStore: an absent key is set when nothing is expected of it, and otherwise
  // `expected` is returned. A retry whose first attempt succeeded finds its own value and is told
  // that value, which the caller reads as success; so COMPARE_SET needs no id, unlike ADD.
  const bool absent = it == values_.end();
  if (absent ? request.expected().empty() : it->second == request.expected()) {
    RETURN_IF_ERROR(Set(request.keys(0), request.value()));
    reply.set_value(request.value());
  } else {
    reply.set_value(absent ? request.expected() : it->second);
  }
  return reply;
}

std::optional<RendezvousReply> Rendezvous::Find(const RendezvousRequest& request, bool last) const {
  RendezvousReply reply;
  for (const std::string& key : request.keys()) {
    if (values_.count(key) > 0) continue;
    if (!last) return std::nullopt;
    return reply;
  }
  reply.set_found(true);
  if (request.op() == RendezvousRequest::GET) reply.set_value(values_.at(request.keys(0)));
  return reply;
}

}  // namespace reckon
