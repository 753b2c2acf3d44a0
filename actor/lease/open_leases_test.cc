#include "actor/lease/open_leases.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;

TEST(OpenLeasesTest, EndsWithItsLastSampleOrBefore) {
  OpenLeases leases;
  leases.Open(3, 2);
  leases.Open(5, 1);
  leases.Admit(3);
  EXPECT_THAT(leases.all(), ElementsAre(3, 5));
  EXPECT_THAT(leases.admitted(), ElementsAre(3));
  EXPECT_FALSE(leases.Acknowledge(3));
  EXPECT_TRUE(leases.Acknowledge(3));
  EXPECT_FALSE(leases.Has(3));
  EXPECT_FALSE(leases.Close(3));
  EXPECT_TRUE(leases.Close(5));
  EXPECT_EQ(leases.size(), 0u);
}

// A coordinator that has lost its store may grant an id again.
TEST(OpenLeasesTest, OneThatIsOpenedAgainIsQueuedWithItsNewSamples) {
  OpenLeases leases;
  leases.Open(3, 1);
  leases.Admit(3);
  leases.Open(3, 2);
  EXPECT_THAT(leases.admitted(), ElementsAre());
  EXPECT_FALSE(leases.Acknowledge(3));
}

}  // namespace
}  // namespace reckon
