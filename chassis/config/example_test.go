package config_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing/fstest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

type HTTPConfig struct {
	Addr    string        `doc:"address to listen on"`
	MaxBody config.Size   `doc:"largest request body"`
	Idle    time.Duration `doc:"how long an idle connection is kept"`
	H2C     bool          `doc:"serve HTTP/2 without TLS"`
}

func (c HTTPConfig) Validate() error {
	if c.Idle <= 0 {
		return config.Invalid("idle", "want more than 0, got %v", c.Idle)
	}
	return nil
}

type GameConfig struct {
	Journal string        `doc:"where games are kept: mem: or file:PATH"`
	Token   config.Secret `doc:"what callers must show"`
	HTTP    HTTPConfig    `config:"http" doc:"the public listener"`
}

func gameDefaults() GameConfig {
	return GameConfig{
		Journal: "mem:",
		HTTP:    HTTPConfig{Addr: "127.0.0.1:8080", MaxBody: config.MiB, Idle: 2 * time.Minute},
	}
}

// All four layers at once, in the order a program does it.
func Example() {
	cfg := gameDefaults()
	set, err := config.New("game", &cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	flags := flag.NewFlagSet("gamed", flag.ContinueOnError)
	if err := set.Flags(flags); err != nil {
		fmt.Println(err)
		return
	}
	if err := flags.Parse([]string{"-http.h2c", "-journal", "file:games.db"}); err != nil { // os.Args[1:]
		fmt.Println(err)
		return
	}
	err = set.Load(config.Sources{
		File: "games.yaml",
		Open: fstest.MapFS{"games.yaml": {Data: []byte("http:\n  idle: 30s\n  addr: :80\n")}}.Open, // nil: os.Open
		Env:  []string{"GAME_HTTP_ADDR=0.0.0.0:8080"},                                              // os.Environ()
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cfg.HTTP.Addr, cfg.HTTP.Idle, cfg.Journal)
	_ = set.Print(os.Stdout)
	// Output:
	// 0.0.0.0:8080 30s file:games.db
	// # The configuration of game, and where each value came from.
	// journal: file:games.db  # flag -journal
	// token: ""               # default
	// http:
	//   addr: 0.0.0.0:8080    # env GAME_HTTP_ADDR
	//   max_body: 1MiB        # default
	//   idle: 30s             # games.yaml:2:9
	//   h2c: true             # flag -http.h2c
}

// The defaults are what the struct holds when New is given it.
func ExampleNew() {
	cfg := gameDefaults()
	set, err := config.New("game", &cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range set.Fields() {
		fmt.Printf("%s %s %q %s\n", f.Key, f.Type, f.Default, f.Env)
	}
	// Output:
	// journal string "mem:" GAME_JOURNAL
	// token secret "" GAME_TOKEN
	// http.addr string "127.0.0.1:8080" GAME_HTTP_ADDR
	// http.max_body size "1MiB" GAME_HTTP_MAX_BODY
	// http.idle duration "2m" GAME_HTTP_IDLE
	// http.h2c bool "false" GAME_HTTP_H2C
}

// Every mistake of the file is reported, with its place and what would be right.
func ExampleSet_Load_file() {
	const file = `
journal: [mem:]
http:
  adr: :80
  idle: soon
  max_body: 64k
`
	cfg := gameDefaults()
	set, _ := config.New("game", &cfg)
	err := set.Load(config.Sources{
		File: "games.yaml",
		Open: fstest.MapFS{"games.yaml": {Data: []byte(file)}}.Open,
	})
	fmt.Println(err)
	// Output:
	// games.yaml:2:10: key "journal": want text, got a list
	// games.yaml:4:3: key "http.adr" is unknown; did you mean "http.addr"?
	// games.yaml:5:9: key "http.idle": want a duration such as 30s, got "soon"
}

// The environment overrides the file. What only resembles a key is a warning.
func ExampleSet_Load_environment() {
	cfg := gameDefaults()
	set, _ := config.New("game", &cfg)
	err := set.Load(config.Sources{Env: []string{
		"GAME_HTTP_MAX_BODY=16MiB",
		"GAME_HTP_ADDR=:80",
		"GAME_SERVICE_HOST=10.0.0.7", // as Kubernetes sets it
	}})
	fmt.Println(cfg.HTTP.MaxBody, err)
	fmt.Println(set.Warnings())
	// Output:
	// 16MiB <nil>
	// [environment variable GAME_HTP_ADDR sets nothing; did you mean GAME_HTTP_ADDR?]
}

// Flags are parsed before Load, which applies them last.
func ExampleSet_Flags() {
	cfg := gameDefaults()
	set, _ := config.New("game", &cfg)
	flags := flag.NewFlagSet("gamed", flag.ContinueOnError)
	file := flags.String("config", "", "`file` with the configuration")
	_ = set.Flags(flags)
	_ = flags.Parse([]string{"-http.h2c=false", "-http.idle", "10s", "-config", ""})
	err := set.Load(config.Sources{File: *file, Env: []string{"GAME_HTTP_H2C=true", "GAME_HTTP_IDLE=20s"}})
	idle, _ := set.Lookup("http.idle")
	fmt.Println(cfg.HTTP.H2C, cfg.HTTP.Idle, idle.Source, err)
	// Output: false 10s flag -http.idle <nil>
}

func ExampleSet_Usage() {
	cfg := gameDefaults()
	set, _ := config.New("game", &cfg)
	_ = set.Usage(os.Stdout)
	// Output:
	//   -journal string      where games are kept: mem: or file:PATH
	//                        default mem:, env GAME_JOURNAL
	//   -token secret        what callers must show
	//                        no default, env GAME_TOKEN
	//
	// http: the public listener
	//   -http.addr string    address to listen on
	//                        default 127.0.0.1:8080, env GAME_HTTP_ADDR
	//   -http.max_body size  largest request body
	//                        default 1MiB, env GAME_HTTP_MAX_BODY
	//   -http.idle duration  how long an idle connection is kept
	//                        default 2m, env GAME_HTTP_IDLE
	//   -http.h2c            serve HTTP/2 without TLS
	//                        default false, env GAME_HTTP_H2C
}

// HTTPConfig's Validate names its field; the reader is told where that value came from.
func ExampleInvalid() {
	cfg := gameDefaults()
	set, _ := config.New("game", &cfg)
	err := set.Load(config.Sources{Env: []string{"GAME_HTTP_IDLE=-5s"}})
	fmt.Println(err)
	fmt.Println("in force again:", cfg.HTTP.Idle)
	// Output:
	// env GAME_HTTP_IDLE: key "http.idle": want more than 0, got -5s
	// in force again: 2m0s
}

func ExampleSecret() {
	cfg := gameDefaults()
	set, _ := config.New("game", &cfg)
	err := set.Load(config.Sources{
		Open: fstest.MapFS{"run/secrets/token": {Data: []byte("open sesame\n"), Mode: 0o400}}.Open,
		Env:  []string{"GAME_TOKEN=file:run/secrets/token"},
	})
	f, _ := set.Lookup("token")
	asJSON, _ := json.Marshal(cfg.Token)
	fmt.Printf("%v %s %q %v\n", cfg.Token, asJSON, cfg.Token.Reveal(), err)
	fmt.Println(f.Value)
	// Output:
	// [redacted] "[redacted]" "open sesame" <nil>
	// file:run/secrets/token
}

func ExampleSize() {
	var s config.Size
	for _, text := range []string{"64k", "1 MiB", "2GB", "1500"} {
		_ = s.UnmarshalText([]byte(text))
		fmt.Println(text, "is", int64(s), "bytes, written", s)
	}
	// Output:
	// 64k is 65536 bytes, written 64KiB
	// 1 MiB is 1048576 bytes, written 1MiB
	// 2GB is 2000000000 bytes, written 2GB
	// 1500 is 1500 bytes, written 1500B
}
