// Package wire carries the commands of scenarios to a service whose contract is protobuf, each way that
// the service can be reached:
//
//   - [Local] calls what implements the contract, without a network.
//   - [GRPC] makes gRPC calls with grpc-go.
//   - [HTTP] makes the JSON calls that chassis/gateway answers, and reads Server-Sent Events.
//   - [RawHTTP] writes the bytes of the same requests itself, and [RawGRPC] the frames of gRPC,
//     having asked the service itself for its contract. They show that the contract can be met
//     without anybody's client.
//
// All are a [Caller], so that a command of a scenario is made into a message once:
//
//	answer, err := wire.Call(ctx, caller, "/game.v1.GameService/DropDisc", request)
//	failed := wire.Failure(err) // 1042
package wire
