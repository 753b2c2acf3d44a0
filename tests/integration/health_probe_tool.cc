// reckon-health-probe HOST:PORT [SERVICE]: asks a health port as Kubernetes' probes do, and prints
// the status or the error.

#include <chrono>
#include <iostream>

#include "grpcpp/grpcpp.h"
#include "proto/health.grpc.pb.h"

int main(int argc, char** argv) {
  using grpc::health::v1::HealthCheckResponse;
  if (argc < 2) return 2;
  grpc::health::v1::HealthCheckRequest request;
  if (argc > 2) request.set_service(argv[2]);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  HealthCheckResponse response;
  const grpc::Status status = grpc::health::v1::Health::NewStub(
                                  grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()))
                                  ->Check(&context, request, &response);
  std::cout << (status.ok() ? HealthCheckResponse::ServingStatus_Name(response.status())
                            : status.error_message())
            << std::endl;
  return status.ok() && response.status() == HealthCheckResponse::SERVING ? 0 : 1;
}
