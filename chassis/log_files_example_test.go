//go:build unix

package chassis_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/logfile"
)

type archived struct {
	HTTP    chassis.HTTPConfig `config:"http"`
	Archive string             `config:"archive" doc:"directory that segments of logs are copied to"`
}

func archivedSetup(_ context.Context, s *chassis.Service, cfg archived) error {
	s.ShipLogs(logfile.NewDir(cfg.Archive))
	router := chassis.NewRouter()
	router.Handle("GET /hello", say("hello"))
	return s.HTTP("http", cfg.HTTP, router)
}

func ExampleService_ShipLogs() {
	root, err := os.MkdirTemp("", "logs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(root)
	spec := chassis.Spec[archived]{Name: "greeter", Setup: archivedSetup}
	service, err := chassis.Start(context.Background(), spec, func(s *chassis.Settings, cfg *archived) {
		s.AccessLog.Path = root + "/log/"
		s.Log.Files.Prefix = "greeter"
		cfg.Archive = root + "/archive"
	}, chassis.World{Log: zap.NewNop()})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := http.Get("http://" + service.Addr("http").String() + "/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = res.Body.Close()
	err = service.Stop(context.Background()) // which ships the last lines
	objects, _ := filepath.Glob(root + "/archive/greeter/access/*/*/*/access-*.log.gz")
	fmt.Println(len(objects), "segment in the archive", err)
	// Output: 1 segment in the archive <nil>
}
