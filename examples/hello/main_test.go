package main

import (
	"io"
	"net/http"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
)

func TestHelloGreets(t *testing.T) {
	i, err := chassis.Start(t.Context(), hello, func(s *chassis.Settings, c *config) {
		c.HTTP.Addr, s.AccessLog.Path = "127.0.0.1:0", "off"
	}, chassis.World{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := i.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	res, err := http.Get("http://" + i.Addr("http").String() + "/hello/ann")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "Hello, ann!\n" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
}
