package echofake_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/fake"
	"github.com/seed-754044b3/roadworthy/fake/faketest"

	"github.com/seed-754044b3/roadworthy/template/echofake"
	"github.com/seed-754044b3/roadworthy/template/echov1"
)

func TestTheFakeKeepsItsPromises(t *testing.T) { faketest.Run(t, echofake.Start) }

func TestTheFakeHasNoHandlersOfItsOwn(t *testing.T) {
	faketest.NoHandlers(t, ".")
	faketest.NoHandlers(t, "../cmd/echofake")
}

// say is a client: it tries again, once, when the service says that it may.
func say(ctx context.Context, client echov1.EchoServiceClient, message string) (string, error) {
	resp, err := client.Echo(ctx, &echov1.EchoRequest{Message: message})
	if f, ok := grpcclient.FailureOf(err); ok && f.Retryable {
		resp, err = client.Echo(ctx, &echov1.EchoRequest{Message: message})
	}
	return resp.GetMessage(), err
}

// This is what a client's tests look like: nothing of the service is imported but its contract
// and its fake.
func TestAClientTriesAgainWhenTheServiceIsOverloaded(t *testing.T) {
	f := echofake.Start(t)
	conn, err := grpc.NewClient(f.Addr("grpc"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := echov1.NewEchoServiceClient(conn)

	const overloaded = 503 // the chassis's code
	f.FailNext(1, fake.Code(overloaded), fake.On("/echo.v1.EchoService/Echo"))
	if got, err := say(t.Context(), client, "hi"); err != nil || got != "hi" {
		t.Errorf("overloaded once: %q, %v", got, err)
	}
	f.FailNext(2, fake.Code(overloaded))
	if got, err := say(t.Context(), client, "hi"); err == nil {
		t.Errorf("overloaded twice: %q", got)
	}
	if n := len(f.Calls()); n != 4 {
		t.Errorf("the service saw %d calls, want 4", n)
	}

	// Long enough for the call to arrive, on a busy machine too.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	f.Latency(time.Minute)
	if got, err := say(ctx, client, "hi"); err == nil {
		t.Errorf("after the deadline: %q", got)
	}
}
