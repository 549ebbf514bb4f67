package webhook_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/spool/webhook"
)

// A receiver verifies the signature of the body before it looks at anything else, and remembers IDs.
func ExampleVerify() {
	const secret = "of both sides"
	seen := map[string]bool{} // a real one keeps this with its data, and forgets after days
	receive := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil || !webhook.Verify(secret, body, r.Header.Get("X-Hub-Signature-256")) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if id := r.Header.Get("Webhook-Id"); !seen[id] {
			seen[id] = true
			fmt.Printf("%s: %s\n", id, body)
		}
	}
	receiver := httptest.NewServer(http.HandlerFunc(receive))
	defer receiver.Close()
	for range 2 { // the second time is a repetition
		post(receiver.URL, "r1", secret, `{"units":42}`)
	}
	post(receiver.URL, "r2", "a wrong one", `{"units":1}`)
	// Output: r1: {"units":42}
}

func post(url, id, secret, body string) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("X-Hub-Signature-256", webhook.Sign(secret, []byte(body)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
}
