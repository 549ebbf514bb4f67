// Package chassis is the part of a service that is the same in every service: it reads the
// configuration, opens the listeners, logs, counts, answers failures, drains, and ends.
//
// A service is described once, by a [Spec]: its name, the defaults of its configuration and a
// Setup function that builds handlers on the [Service] it is handed. Hosts run the Spec:
// [Main] in production, package fake as a network fake for the tests of its clients. There is
// no second implementation of anything, so the fake cannot drift from production. For this to
// hold, Setup reaches the world only through what it is given (listeners, clock, randomness,
// journal) and touches no package-level state; then many instances live side by side in one
// process.
//
// A whole service:
//
//	func main() { chassis.Main(hello) }
//
//	type config struct {
//		HTTP chassis.HTTPConfig `config:"http"`
//	}
//
//	var hello = chassis.Spec[config]{
//		Name:     "hello",
//		Defaults: config{HTTP: chassis.HTTPConfig{Addr: "127.0.0.1:8080"}},
//		Setup: func(ctx context.Context, s *chassis.Service, cfg config) error {
//			r := chassis.NewRouter()
//			r.Handle("GET /hello/{name}", func(w http.ResponseWriter, req *http.Request) error {
//				_, err := fmt.Fprintf(w, "Hello, %s!\n", req.PathValue("name"))
//				return err
//			})
//			return s.HTTP("http", cfg.HTTP, r)
//		},
//	}
//
// That service has a configuration file, environment variables and flags (-h shows them), an
// access log in Apache's Combined format, metrics, health checks and a status page on its
// admin listener, failures as RFC 9457 problem documents, bounds on everything a caller can
// send, and a drain that finishes what is under way when it is told to stop.
//
// The packages below this one are rooms of the same house and are useful alone: failure,
// queue, journal, config, clock, request, accesslog, kpi. gRPC lives in grpcserver and
// grpcclient, so that a service without gRPC does not link it.
package chassis
