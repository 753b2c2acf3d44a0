#ifndef RECKON_COORDINATOR_CORE_SOURCE_TREE_H_
#define RECKON_COORDINATOR_CORE_SOURCE_TREE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace reckon {

// Which actors fetch each weight version from which others, so that the publisher sends a constant
// number of copies: a tree whose root is the publisher and in which every node has two children, in
// the order in which actors asked for the manifest.
//
//                publisher
//               /         \.
//           actor 0      actor 1        an actor that still fetches serves what it has already
//           /     \      /     \.
//         2        3    4       5
//
// An actor gets all nodes above it, nearest first: when its parent fails, it continues with the
// next. Part of CoreState, in memory alone: after a restart of the coordinator actors begin new
// trees. Not thread-safe.
class SourceTree {
 public:
  // The sources above the actor that will serve `version` at `address`, nearest first, without the
  // publisher. An actor that asks again keeps its place.
  std::vector<std::string> Enter(uint64_t version, const std::string& address);
  // Forgets all versions but the newest two, which are the ones that are served.
  void Trim();

 private:
  std::map<uint64_t, std::vector<std::string>> actors_;  // by version, in the order of their coming
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_SOURCE_TREE_H_
