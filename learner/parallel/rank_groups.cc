#include "learner/parallel/rank_groups.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "learner/parallel/single.h"

namespace reckon {

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

}  // namespace reckon
