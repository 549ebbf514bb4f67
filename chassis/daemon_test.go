package chassis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis"
	keys "github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// gameConf is a configuration with a bit of everything.
type gameConf struct {
	HTTP  chassis.HTTPConfig `config:"http"`
	Motto string             `doc:"what the service says"`
	Token keys.Secret        `doc:"what nobody may see"`
}

// game is a service as people write them.
func game(setup func(context.Context, *chassis.Service, gameConf) error) chassis.Spec[gameConf] {
	if setup == nil {
		setup = func(_ context.Context, s *chassis.Service, c gameConf) error {
			s.Queue("bots", queue.Limits{Workers: 2, Capacity: 64})
			s.Registry().MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "games_open", Help: "Games under way."}))
			r := routes(map[string]chassis.Handler{"GET /motto": say(c.Motto)})
			return s.HTTP("http", c.HTTP, r)
		}
	}
	return chassis.Spec[gameConf]{
		Name: "game", Doc: "plays Connect Four", Failures: codes, Setup: setup,
		Defaults: gameConf{Motto: "drop it"},
		Commands: []chassis.Command[gameConf]{{
			Name: "backup", Args: "FILE", Doc: "copy the journal to FILE",
			Run: func(_ context.Context, c gameConf, args []string, out io.Writer) error {
				if len(args) != 1 {
					return errors.New("want one FILE")
				}
				_, err := fmt.Fprintf(out, "%s to %s\n", c.Motto, args[0])
				return err
			},
		}},
	}
}

// outcome is how a daemon ended.
type outcome struct {
	code           int
	stdout, stderr string
}

func runDaemon(ctx context.Context, spec chassis.Spec[gameConf], env []string, args ...string) outcome {
	var stdout, stderr buffer
	code := chassis.Run(ctx, spec, args, env, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestADaemonAnswersItsFlags(t *testing.T) {
	yaml := file(t, "game.yaml", "motto: from the file\nhttp: {max_body: 2MiB}\n")
	bad := file(t, "bad.yaml", "motto: x\nhtttp:\n  addr: y\n")
	secret := file(t, "secret.yaml", "token: hunter2\n")
	for name, c := range map[string]struct {
		args   []string
		env    []string
		code   int
		stdout []string // all of them are in it
		stderr []string
	}{
		"-h": {[]string{"-h"}, nil, 0, []string{
			"gamed: plays Connect Four\n\nusage: gamed [flags]\n", "gamed [flags] backup FILE                copy the journal to FILE\n",
			"  -config FILE     read this YAML file\n", "-http.addr", "GAME_HTTP_ADDR", "-admin.addr", "-motto", "what the service says",
			"Configuration, the later winning: defaults, the file of -config, environment, flags.",
		}, nil},
		"-version":                   {[]string{"-version"}, nil, 0, []string{"gamed ", " go1."}, nil},
		"-check":                     {[]string{"-check"}, nil, 0, []string{"configuration ok\n"}, nil},
		"-check of a file":           {[]string{"-check", "-config", yaml}, nil, 0, []string{"configuration ok\n"}, nil},
		"-check of a mistake":        {[]string{"-check", "-config", bad}, nil, 1, nil, []string{"gamed: " + bad + ":2:1: ", `"htttp"`, "did you mean", `http`}},
		"-check of what Setup finds": {[]string{"-check", "-http.tls.cert", "/no/cert", "-http.tls.key", "/no/key"}, nil, 1, nil, []string{`gamed: listener "http": certificate /no/cert`}},
		"-print-config": {[]string{"-config", yaml, "-print-config", "-http.addr", "127.0.0.1:1"}, []string{"GAME_MOTTO=from the environment"}, 0,
			[]string{`motto: "from the environment"`, "# env GAME_MOTTO", "addr: 127.0.0.1:1", "# flag -http.addr", "max_body: 2MiB", "# " + yaml + ":2:"}, nil},
		"-print-config hides secrets":  {[]string{"-config", secret, "-print-config"}, nil, 0, []string{"[redacted]"}, nil},
		"a flag nobody has":            {[]string{"-nope"}, nil, 2, nil, []string{"gamed: flag provided but not defined: -nope; gamed -h shows the flags\n"}},
		"a flag nearly right":          {[]string{"-http.adr", "x"}, nil, 2, nil, []string{"gamed: flag provided but not defined: -http.adr; did you mean -http.addr? gamed -h shows the flags\n"}},
		"-check nearly right":          {[]string{"-chek"}, nil, 2, nil, []string{"did you mean -check?"}},
		"a flag of the wrong type":     {[]string{"-http.max_conns", "many"}, nil, 2, nil, []string{`"many"`, "-http.max_conns"}},
		"a command nobody has":         {[]string{"restore"}, nil, 2, nil, []string{"gamed: unknown command \"restore\"; gamed -h shows what there is\n"}},
		"a command":                    {[]string{"-motto", "keep it", "backup", "x.db"}, nil, 0, []string{"keep it to x.db\n"}, nil},
		"a command that fails":         {[]string{"backup"}, nil, 1, nil, []string{"gamed: backup: want one FILE\n"}},
		"-check does not run commands": {[]string{"-check", "backup", "x.db"}, nil, 2, nil, []string{`gamed: -check takes no command, got "backup"`}},
		"-describe neither":            {[]string{"-describe", "backup"}, nil, 2, nil, []string{`gamed: -describe takes no command`}},
		"-print-config neither":        {[]string{"-print-config", "backup"}, nil, 2, nil, []string{`gamed: -print-config takes no command`}},
		"a value that makes no sense":  {nil, []string{"GAME_DRAIN_TIMEOUT=-1s"}, 1, nil, []string{"GAME_DRAIN_TIMEOUT", "drain.timeout", "more than 0"}},
		"a file that is not there":     {[]string{"-config", "/no/game.yaml"}, nil, 1, nil, []string{"/no/game.yaml"}},
		"a variable nearly right":      {[]string{"-check"}, []string{"GAME_MOTO=x"}, 0, []string{"ok"}, []string{"gamed: environment variable GAME_MOTO sets nothing; did you mean GAME_MOTTO?\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := runDaemon(t.Context(), game(nil), c.env, c.args...)
			if got.code != c.code {
				t.Errorf("exit code %d, want %d", got.code, c.code)
			}
			for _, stream := range []struct {
				name, text string
				wants      []string
			}{{"stdout", got.stdout, c.stdout}, {"stderr", got.stderr, c.stderr}} {
				if len(stream.wants) == 0 && stream.text != "" {
					t.Errorf("%s: unasked output %q", stream.name, stream.text)
				}
				for _, want := range stream.wants {
					if !strings.Contains(stream.text, want) {
						t.Errorf("%s: %q is missing in:\n%s", stream.name, want, stream.text)
					}
				}
			}
			if strings.Contains(got.stdout+got.stderr, "hunter2") {
				t.Error("a secret is printed")
			}
		})
	}
}

func TestADaemonDescribesItself(t *testing.T) {
	got := runDaemon(t.Context(), game(nil), nil, "-describe", "-http.addr", "127.0.0.1:8099")
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	d := parse[chassis.Description](t, got.stdout)
	if d.Service != "game" || d.Version == "" || !strings.HasPrefix(d.Go, "go1.") {
		t.Errorf("described as %q %q %q", d.Service, d.Version, d.Go)
	}
	if len(d.Listeners) != 1 || d.Listeners[0].Name != "http" || d.Listeners[0].Protocol != "http" ||
		d.Listeners[0].Addr != "127.0.0.1:8099" || !slices.Equal(d.Listeners[0].Routes, []string{"GET /motto"}) {
		t.Errorf("listeners %+v", d.Listeners)
	}
	if want := []chassis.QueueDescription{{Name: "bots", Workers: 2, Capacity: 64}, {Name: "http", Workers: 1000, Capacity: 1000}}; !slices.Equal(d.Queues, want) {
		t.Errorf("queues %+v", d.Queues)
	}
	metrics := map[string]chassis.MetricDescription{}
	for _, m := range d.Metrics {
		metrics[m.Name] = m
	}
	for name, kind := range map[string]string{
		"requests_total": "counter", "request_duration_seconds": "histogram", "requests_in_flight": "gauge", "response_bytes_total": "counter",
		"failure_total": "counter", "queue_depth": "gauge", "queue_rejected_total": "counter", "access_log_dropped_total": "counter",
		"build_info": "gauge", "go_goroutines": "gauge", "games_open": "gauge",
	} {
		if m := metrics[name]; m.Type != kind || m.Help == "" {
			t.Errorf("metric %s: %+v", name, m)
		}
	}
	if !slices.IsSortedFunc(d.Metrics, func(a, b chassis.MetricDescription) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("metrics are not in order")
	}
	failures := map[string]int{}
	for _, f := range d.Failures {
		failures[f.Set+" "+f.Message] = f.Number
	}
	if failures["test column is full"] != 1001 || failures["chassis internal error"] != 1 {
		t.Errorf("failures %v", failures)
	}
	i := slices.IndexFunc(d.Config, func(c chassis.ConfigDescription) bool { return c.Key == "http.max_body" })
	if i < 0 || d.Config[i].Env != "GAME_HTTP_MAX_BODY" || d.Config[i].Default != "1MiB" || d.Config[i].Doc == "" || d.Config[i].Type == "" {
		t.Errorf("configuration %+v", d.Config)
	}
}

func TestADescriptionHasNoNulls(t *testing.T) {
	bare := game(func(_ context.Context, s *chassis.Service, c gameConf) error {
		c.HTTP.Admission.Workers = -1
		return s.HTTP("http", c.HTTP, chassis.NewRouter())
	})
	got := runDaemon(t.Context(), bare, nil, "-describe")
	if strings.Contains(got.stdout, "null") || !strings.Contains(got.stdout, `"queues": []`) || !strings.Contains(got.stdout, `"routes": []`) {
		t.Errorf("described as %s", got.stdout)
	}
	start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		wait := make(chan struct{})
		close(wait)
		if err := s.Serve("raw", "raw", "127.0.0.1:0", &brokenServer{serve: wait}, nil); err != nil {
			return err
		}
		d, err := s.Description()
		if err != nil || d.Listeners[0].Routes == nil || len(d.Listeners[0].Routes) != 0 {
			t.Errorf("described as %+v, %v", d.Listeners, err)
		}
		return nil
	})
}

func TestOthersAddToTheDescription(t *testing.T) {
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		s.Describe(func(d *chassis.Description) {
			d.Listeners = append(d.Listeners, chassis.ListenerDescription{Name: "extra"})
		})
		return nil
	})
	d, err := h.s.Description()
	if err != nil || len(d.Listeners) != 1 || d.Listeners[0].Name != "extra" {
		t.Errorf("described as %+v, %v", d.Listeners, err)
	}
	h.s.Registry().MustRegister(brokenCollector{})
	if _, err := h.s.Description(); err == nil || !strings.HasPrefix(err.Error(), "gather the metrics: ") {
		t.Errorf("with a metric that cannot be gathered: %v", err)
	}
	spec := game(func(_ context.Context, s *chassis.Service, _ gameConf) error {
		s.Registry().MustRegister(brokenCollector{})
		return nil
	})
	if got := runDaemon(t.Context(), spec, nil, "-describe"); got.code != 1 || !strings.Contains(got.stderr, "gather the metrics: ") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}

// brokenCollector has a metric that cannot be collected.
type brokenCollector struct{}

var brokenDesc = prometheus.NewDesc("broken", "Never there.", nil, nil)

func (brokenCollector) Describe(c chan<- *prometheus.Desc) { c <- brokenDesc }
func (brokenCollector) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(brokenDesc, errors.New("no reading"))
}

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	for _, flag := range []string{"-check", "-describe", "-print-config"} {
		var stderr buffer
		if code := chassis.Run(t.Context(), game(nil), []string{flag}, nil, brokenPipe{}, &stderr); code != 1 || !strings.Contains(stderr.String(), "broken pipe") {
			t.Errorf("%s exits %d with %q", flag, code, stderr.String())
		}
	}
}

func TestFlagsThatASpecMakesImpossibleAreRefused(t *testing.T) {
	type conf struct {
		Config string `doc:"in the way of -config"`
	}
	var stderr buffer
	spec := chassis.Spec[conf]{Name: "game", Setup: func(context.Context, *chassis.Service, conf) error { return nil }}
	if code := chassis.Run(t.Context(), spec, nil, nil, io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), "-config is taken") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

func TestADaemonServesUntilItIsToldToStop(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	addr := make(chan string, 1)
	spec := game(func(_ context.Context, s *chassis.Service, c gameConf) error {
		err := s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /motto": say(c.Motto)}))
		s.OnState(func(state chassis.State) {
			if state == chassis.StateReady {
				addr <- s.Addr("http").String()
			}
		})
		return err
	})
	ended := make(chan outcome, 1)
	go func() {
		ended <- runDaemon(ctx, spec, []string{"GAME_MOTTO=env", "GAME_LOG_FORMAT=json"}, "-motto", "flag")
	}()
	res, err := http.Get("http://" + receive(t, addr, "readiness") + "/motto")
	if err != nil {
		t.Fatal(err)
	}
	if a := read(res); a.body != "flag" {
		t.Errorf("answer %q", a.body)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	got := receive(t, ended, "the end")
	if got.code != 0 || !strings.Contains(got.stdout, `"GET /motto HTTP/1.1" 200 4`) {
		t.Errorf("exit code %d, output %q", got.code, got.stdout)
	}
	for _, want := range []string{`"msg":"listening"`, `"listener":"admin"`, `"msg":"ready"`, `"msg":"draining"`, `"msg":"closed"`} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("%s is missing in the log:\n%s", want, got.stderr)
		}
	}
}

func TestADaemonThatFailsSaysWhyInOneLine(t *testing.T) {
	spec := game(func(context.Context, *chassis.Service, gameConf) error {
		return errors.New("open games.db: it is a directory")
	})
	if got := runDaemon(t.Context(), spec, nil); got != (outcome{1, "", "gamed: open games.db: it is a directory\n"}) {
		t.Errorf("%+v", got)
	}
	spec = game(func(_ context.Context, s *chassis.Service, _ gameConf) error {
		s.Go("lease", func(context.Context) error { return errors.New("lost") })
		return nil
	})
	got := runDaemon(t.Context(), spec, nil)
	if got.code != 1 || !strings.HasSuffix(got.stderr, "gamed: background work \"lease\": lost\n") {
		t.Errorf("%+v", got)
	}
}

func TestADaemonThatIsStoppedInSetupEndsWell(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	spec := game(func(ctx context.Context, _ *chassis.Service, _ gameConf) error {
		stop()
		<-ctx.Done()
		return ctx.Err()
	})
	if got := runDaemon(ctx, spec, []string{"GAME_LOG_FORMAT=json"}); got.code != 0 || !strings.Contains(got.stderr, "start-up was abandoned") {
		t.Errorf("%+v", got)
	}
}

func TestTheVersionIsThatOfTheBuild(t *testing.T) {
	if v := chassis.Version(); !regexp.MustCompile(`^(\(devel\)|v[0-9].*|[0-9a-f]{12}(-dirty)?)$`).MatchString(v) {
		t.Errorf("version %q", v)
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for want, info := range map[string]*debug.BuildInfo{
		"v1.2.3":             {Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{revision}},
		"(devel)":            {},
		"0123456789ab":       {Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{revision}},
		"0123456789ab-dirty": {Settings: []debug.BuildSetting{revision, dirty}},
	} {
		if got := chassis.VersionOf(info); got != want {
			t.Errorf("version %q, want %q", got, want)
		}
	}
}
