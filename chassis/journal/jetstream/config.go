package jetstream

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// configsOf are the configurations of the two streams that keep a journal: its events, and the rest.
func configsOf(a address) []js.StreamConfig {
	common := js.StreamConfig{
		Retention: js.LimitsPolicy,
		Discard:   js.DiscardNew,
		Storage:   js.FileStorage,
		Replicas:  a.replicas,
		MaxMsgs:   -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
		DenyPurge: true,
		// For this long JetStream remembers IDs of messages, which nobody gives: repetitions are found for ever.
		Duplicates: time.Second,
	}
	events, state := common, common
	events.Name = a.name
	events.Description = "events of a journal"
	events.Subjects = []string{eventSubject(a.name, "*")}
	events.DenyDelete = true
	events.AllowDirect = true
	events.AllowAtomicPublish = true
	events.RePublish = &js.RePublish{
		Source:      eventSubject(a.name, "*"),
		Destination: tailSubject(a.name, "{{wildcard(1)}}"),
		HeadersOnly: true,
	}
	state.Name = stateName(a.name)
	state.Description = "snapshots, checkpoints and leases of a journal"
	state.Subjects = []string{stateSubject(a.name, "*", "*")}
	state.Discard = js.DiscardOld // of each subject
	state.MaxMsgsPerSubject = 1
	return []js.StreamConfig{events, state}
}

// check sees that a stream keeps what a journal promises. What else it is configured to, such as a
// greatest size or where its replicas are, is its owner's business.
func check(got, want js.StreamConfig) error {
	var wrong []string
	demand := func(key string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", key, got, want))
		}
	}
	demand("subjects", got.Subjects, want.Subjects)
	demand("retention", got.Retention, want.Retention)
	demand("discard", got.Discard, want.Discard)
	demand("storage", got.Storage, want.Storage)
	demand("max_msgs", max(got.MaxMsgs, -1), want.MaxMsgs)
	demand("max_age", got.MaxAge, want.MaxAge)
	demand("max_msgs_per_subject", got.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	demand("deny_delete", got.DenyDelete, want.DenyDelete)
	demand("deny_purge", got.DenyPurge, true)
	demand("allow_direct", got.AllowDirect || !want.AllowDirect, true)
	demand("allow_atomic", got.AllowAtomicPublish || !want.AllowAtomicPublish, true)
	demand("no_ack", got.NoAck, false)
	demand("sealed", got.Sealed, false)
	demand("persist_mode", got.PersistMode, want.PersistMode)
	demand("mirror", got.Mirror == nil && len(got.Sources) == 0, true)
	demand("subject_transform", got.SubjectTransform == nil, true)
	demand("republish", got.RePublish, want.RePublish)
	if size := got.MaxMsgSize; size >= 0 && size < payloadNeeded {
		wrong = append(wrong, fmt.Sprintf("max_msg_size is %d, want -1 or at least %d", size, payloadNeeded))
	}
	if got.Replicas < want.Replicas {
		wrong = append(wrong, fmt.Sprintf("num_replicas is %d, want %d", got.Replicas, want.Replicas))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: the stream %s is there and cannot keep a journal: %s", journal.ErrInvalid, want.Name, strings.Join(wrong, "; "))
	}
	return nil
}
