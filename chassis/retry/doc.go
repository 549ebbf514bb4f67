// Package retry decides when a request to another service may be sent again, so that a service
// that is in trouble is not pushed further in by those who call it. [chassis/client] (HTTP) and
// [chassis/grpcclient] share it; use one of those unless you write a client of a third protocol.
//
// A [Policy] stands for one service that is called. Each request of the application asks it three
// questions:
//
//	r, err := policy.Begin()                  // may it be sent? A *Throttled says no
//	r.Attempted(retry.Rejected)               // how an attempt ended
//	wait, again := r.Again(ctx, failure)      // may it be sent once more, and when?
//
// # What may be sent again
//
// A request is sent again only if that cannot do anything twice: it is idempotent (RFC 9110,
// section 9.2.2), or carries a key by which the service recognises it, or the failure proves that
// no handler has seen it. Those who know the protocol know whether one of these holds
// ([Failure].Safe).
//
// Even then it is not sent again when
//
//   - it was sent [Config].Attempts times;
//   - the service said not to ([Failure].Never), or asks for more patience than [Config].MaxWait;
//   - the wait would not end before the caller's deadline;
//   - the throttle, below, holds it back;
//   - the budget is spent: of the last ten seconds' requests one in ten may be sent again, or
//     three a second where that is more ([Config].Budget, [Config].BudgetMin). Whatever the
//     service answers, a client of 30 requests a second or more therefore sends at most 1.1 times
//     the requests that there are. Without a
//     budget each layer of callers multiplies: three attempts in each of three layers are 27.
//
// The wait is what the service asked for, if it did, and on top of it "full jitter": a random time
// from 0 to the bound, which doubles with each attempt from [Config].Backoff to [Config].MaxBackoff
// (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Callers that
// failed together thus do not come back together.
//
// # The throttle
//
// To refuse a request costs a service something too. When it refuses many, clients stop sending
// some of theirs: each is held back with the probability
//
//	max(0, (requests − K × accepts) / (requests + 1))
//
// over the last two minutes, where requests counts those held back as well, and K is 2
// ([Config].Throttle): about as many are refused at the service as it accepts, so that it is seen
// when it accepts more (Beyer et al., Site Reliability Engineering, chapter 21, "Handling
// Overload", "Client-Side Throttling").
//
// Taken alone, two minutes are a long time: after an outage in which nothing was accepted, a client
// with 100 requests a second would need nine minutes to come back. The probability is therefore at
// most what the same formula says of the last second. While the overload lasts the two agree; when
// it is over, the client is back in a second, and after an outage, in which it sends about one
// request a second, in as many seconds as its rate has binary digits. When the load drops instead,
// that is seen sooner: nothing is held back while requests come, going by the last 4, 16 or 64 of them, at a
// rate of at most K × the accepts of the last second. And a client that had fewer
// than ten requests in the last second holds nothing back: one refusal must not fail the next
// request of a client that hardly sends any, and it is not the one that overloads a service.
//
// A refusal over the caller's own quota (HTTP 429, RESOURCE_EXHAUSTED with a time to wait) counts like one for
// want of room. That chapter throttles clients just for it, when much of what they send is refused as out of quota:
// the client that asks for more than its share is the one to slow down, and whoever answers 429 to most of what
// it sends expects that. It holds back all that the client sends to the service: one that calls on behalf of
// many, whose quotas the service tells apart, has a client for each or sets [Config].Throttle to -1, and leaves it to
// the service to refuse. gRPC's own retry throttling (gRFC A6) would not slow it, as that holds back retries alone,
// which a quota's refusals do not get here in the first place.
//
// Both counts are made when an attempt ends, so that requests under way are not taken for refused
// ones. Attempts that the caller gave up, or that were not answered by its deadline, are not
// counted: neither tells whether the service accepts.
//
// # Time
//
// Windows, waits and hedges go by the clock that [New] is given, and deadlines, as those of
// contexts do, by the machine's. On a virtual clock a wait ends when somebody advances it.
//
// [chassis/client]: https://pkg.go.dev/github.com/seed-754044b3/roadworthy/chassis/client
// [chassis/grpcclient]: https://pkg.go.dev/github.com/seed-754044b3/roadworthy/chassis/grpcclient
package retry
