#include "learner/parallel/rank_groups.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "learner/parallel/gloo_parallel.h"
#include "learner/parallel/nccl_parallel.h"
#include "learner/parallel/single.h"

namespace reckon {

RankConnector::RankConnector(std::string address, uint64_t term,
                             std::shared_ptr<Coordinator::StubInterface> stub, std::stop_token stop)
    : address_(std::move(address)), term_(term), stub_(std::move(stub)), stop_(stop) {}

absl::StatusOr<std::unique_ptr<Parallel>> RankConnector::Hosts(const std::string& name, int rank,
                                                               int world, bool background) const {
  GlooOptions gloo;
  gloo.rank = rank;
  gloo.world = world;
  gloo.interface_address = address_;
  gloo.term = term_;
  gloo.group = name;
  gloo.background = background;
  return MakeGloo(gloo, stub_, stop_);
}

absl::StatusOr<std::unique_ptr<Parallel>> RankConnector::Devices(
    const std::string& name, Backend backend, std::unique_ptr<Parallel> hosts) const {
#ifdef RECKON_CUDA
  if (backend == Backend::kTorchCuda) {
    return MakeNccl(std::move(hosts), name, term_, stub_, stop_);
  }
#endif
  return hosts;
}

absl::Status AddHybridGroups(int shard_ranks, const MakeGroup& make, RankGroups* groups) {
  const int rank = groups->all->rank(), world = groups->all->world();
  if (shard_ranks < 1 || world % shard_ranks != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("learner.shard_ranks is ", shard_ranks, ", which does not divide ", world,
                     " learner ranks; set it to the ranks of one machine"));
  }
  const auto connect = [&](absl::string_view kind, int number, int place,
                           int size) -> absl::StatusOr<std::unique_ptr<Parallel>> {
    if (size == 1) return MakeSingle();
    return make(absl::StrCat(kind, number), place, size);
  };
  const int model = rank / shard_ranks, shard = rank % shard_ranks;
  ASSIGN_OR_RETURN(groups->shards, connect("shards", model, shard, shard_ranks));
  ASSIGN_OR_RETURN(groups->replicas, connect("replicas", shard, model, world / shard_ranks));
  return absl::OkStatus();
}

absl::Status AddSenders(const MakeGroup& make, RankGroups* groups) {
  const int rank = groups->all->rank();
  const int world = groups->shards != nullptr ? groups->shards->world() : groups->all->world();
  if (rank >= world) return absl::OkStatus();
  if (world == 1) {
    groups->senders = MakeSingle();
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(groups->senders, make("senders", rank, world));
  return absl::OkStatus();
}

}  // namespace reckon
