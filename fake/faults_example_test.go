package fake_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed-754044b3/roadworthy/fake"
)

// loseAnswer lights the lamp and keeps the client from learning of it.
func loseAnswer(f *fake.Fake, put func() (int, error)) {
	f.Inject(fake.Rule{Phase: fake.AfterCommit, Action: fake.RST, Count: 1}, fake.On("PUT /lamp"))
	_, err := put()
	calls := f.Calls()
	fmt.Println(err != nil, calls[0].Committed, calls[0].Sent)

	// A client that sends the same again has it done twice.
	_, err = put()
	fmt.Println(err, len(f.Duplicates()))
}

// meetBarrier has a call wait at the handler's door while the test does something else.
func meetBarrier(ctx context.Context, f *fake.Fake, put func() (int, error)) error {
	barrier := f.Hold(fake.On("PUT /lamp"))
	answered := make(chan int, 1)
	go func() {
		status, _ := put()
		answered <- status
	}()
	if err := barrier.WaitHeld(ctx, 1); err != nil {
		return err
	}
	fmt.Println(barrier.Held(), "held")
	barrier.Release()
	fmt.Println(<-answered)
	barrier.Remove()
	return f.WaitQuiescent(ctx)
}

// askForFault has one request fail, and no other.
func askForFault(f *fake.Fake) (int, error) {
	req, err := http.NewRequest("GET", f.URL("http")+"/lamp", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set(fake.FaultHeader, "code=1001;phase=after-commit")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// rules are faults as data.
var rules = []fake.Rule{
	{Nth: 3, Failure: fake.Code(1001)},                                                         // the third call
	{After: 10, Every: 5, Action: fake.FIN},                                                    // then one in five
	{Probability: 0.01, Seed: 7, Failure: fake.HTTPStatus(503)},                                // one in a hundred, each time the same
	{Phase: fake.DuringResponse, At: 100, Action: fake.Truncate, Match: fake.OnTenant("acme")}, // 100 bytes of the answer
	{Phase: fake.Connect, Latency: time.Second, Match: fake.OnListener("http")},                // slow to connect
	{Spread: fake.Spread{P50: 20 * time.Millisecond, P99: time.Second}},                        // as slow as a bad day
}

func ExampleFake_Inject() {
	f, err := fake.New(context.Background(), lamp, fake.Options[lampConfig]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Stop()
	put := func() (int, error) {
		req, _ := http.NewRequest("PUT", f.URL("http")+"/lamp", nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	loseAnswer(f, put)
	fmt.Println(meetBarrier(context.Background(), f, put))
	fmt.Println(askForFault(f))
	if _, err := f.Replace(rules...); err != nil {
		fmt.Println(err)
	}
	fmt.Println(len(f.Faults()), "faults;", f.Coverage())
	// Output:
	// true true nothing
	// <nil> 1
	// 1 held
	// 200
	// <nil>
	// 500 <nil>
	// 6 faults; 1 of 17 codes exercised, 2 of 2 methods
}
