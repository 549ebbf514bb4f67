package sentryfake_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

const (
	id    = "9ec79c33ec9942ab8353589fcb2e04dc"
	head  = `{"event_id":"` + id + `"}`
	event = `{"event_id":"` + id + `","timestamp":"2026-01-02T03:04:05Z","platform":"go"}`
)

// item is an item with its length.
func item(typ, payload, more string) string {
	return fmt.Sprintf("{\"type\":%q,\"length\":%d%s}\n%s\n", typ, len(payload), more, payload)
}

func TestTheExamplesOfTheDocumentationAreUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		want []string // payloads
	}{
		"header alone":                        {head, nil},
		"header alone, empty, with its break": {"{}\n", nil},
		"two items": {
			`{"event_id":"` + id + `","dsn":"https://e12d836b15bb49d7bbf99e64295d995b:@sentry.io/42"}` + "\n" +
				`{"type":"attachment","length":10,"content_type":"text/plain","filename":"hello.txt"}` + "\n\xef\xbb\xbfHello\r\n\n" +
				item("event", event, `,"content_type":"application/json","filename":"application.log"`),
			[]string{"\xef\xbb\xbfHello\r\n", event},
		},
		"last line break omitted": {head + "\n" + strings.TrimSuffix(item("event", event, ""), "\n"), []string{event}},
		"two empty attachments": {
			head + "\n" + `{"type":"attachment","length":0,"filename":"a"}` + "\n\n" + `{"type":"attachment","length":0,"filename":"b"}` + "\n\n",
			[]string{"", ""},
		},
		"two empty attachments, last line break omitted": {
			head + "\n" + `{"type":"attachment","length":0,"filename":"a"}` + "\n\n" + `{"type":"attachment","length":0,"filename":"b"}` + "\n",
			[]string{"", ""},
		},
		"implicit length, ended by a line break": {head + "\n" + `{"type":"attachment","filename":"a"}` + "\nhelloworld\n", []string{"helloworld"}},
		"implicit length, ended by the end":      {head + "\n" + `{"type":"attachment","filename":"a"}` + "\nhelloworld", []string{"helloworld"}},
		"implicit length, return in the payload": {head + "\n" + `{"type":"attachment","filename":"a"}` + "\nhello\r\n", []string{"hello\r"}},
		"no header fields": {
			"{}\n" + `{"type":"session"}` + "\n" + `{"started": "2020-02-07T14:16:00Z","attrs":{"release":"sentry-test@1.0.0"}}`,
			[]string{`{"started": "2020-02-07T14:16:00Z","attrs":{"release":"sentry-test@1.0.0"}}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := sentryfake.Parse([]byte(c.data))
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Items) != len(c.want) {
				t.Fatalf("%d items, want %d", len(e.Items), len(c.want))
			}
			for i, want := range c.want {
				if got := string(e.Items[i].Payload); got != want {
					t.Errorf("item %d is %q, want %q", i+1, got, want)
				}
			}
		})
	}
}

func TestAHeaderIsRead(t *testing.T) {
	e, err := sentryfake.Parse([]byte(`{"event_id":"9EC79C33-EC99-42AB-8353-589FCB2E04DC","dsn":"http://k@h/1","sent_at":"2026-01-02T03:04:05.5Z","sdk":{"name":"x"},"trace":{},"unknown":1}` + "\n" +
		item("log", `{"items":[{},{}]}`, `,"item_count":2,"content_type":"application/vnd.sentry.items.log+json"`)))
	if err != nil {
		t.Fatal(err)
	}
	want := sentryfake.Envelope{
		Header: sentryfake.Header{EventID: id, DSN: "http://k@h/1", SentAt: time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC)},
		Items: []sentryfake.Item{{
			Type: "log", ItemCount: 2, ContentType: "application/vnd.sentry.items.log+json", Payload: []byte(`{"items":[{},{}]}`),
		}},
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got %+v\nwant %+v", e, want)
	}
	if c := e.Items[0].Category(); c != "log_item" {
		t.Errorf("its category is %q", c)
	}
}

func TestWhatTheDocumentationForbidsIsRefused(t *testing.T) {
	ev := func(fields string) string {
		return head + "\n" + item("event", `{"event_id":"`+id+`","timestamp":1767323045.25,"platform":"go"`+fields+`}`, "")
	}
	for name, c := range map[string][2]string{
		"nothing":                           {"", "an empty line"},
		"no JSON":                           {"hello\n", "want a JSON object"},
		"white space before the header":     {" {}\n", "without anything around it"},
		"white space behind the header":     {"{} \n", "without anything around it"},
		"two objects":                       {"{}{}\n", "something stands behind"},
		"broken JSON":                       {`{"a":}` + "\n", `"a": invalid`},
		"broken name":                       {`{a}` + "\n", "invalid character"},
		"broken end":                        {`{"a":1,}` + "\n", "invalid character"},
		"invalid UTF-8":                     {"{\"a\":\"\xff\"}\n", "not UTF-8"},
		"sent_at twice":                     {`{"sent_at":"2026-01-02T03:04:05Z","sent_at":"2026-01-02T03:04:05Z"}`, "is there twice"},
		"sent_at without a zone":            {`{"sent_at":"2026-01-02 03:04:05"}`, "RFC 3339"},
		"sent_at elsewhere":                 {`{"sent_at":"2026-01-02T03:04:05+02:00"}`, "not in UTC"},
		"sent_at as a number":               {`{"sent_at":1}`, "want a string"},
		"event_id that is none":             {`{"event_id":"x"}`, "no UUID"},
		"sdk that is no object":             {`{"sdk":"x"}`, "want an object"},
		"white space at the end":            {head + "\n" + item("event", event, "") + "\n", "an empty line"},
		"item without type":                 {"{}\n{}\n", "type is missing"},
		"item with a type that is no text":  {"{}\n" + `{"type":3}` + "\n", "want a string"},
		"item that is no JSON":              {"{}\nhello\n", "item 1: header"},
		"header at the end":                 {"{}\n" + `{"type":"session","length":0}`, "ends with the header"},
		"length beyond the end":             {"{}\n" + `{"type":"session","length":3}` + "\n{}", "ends after 2 bytes"},
		"length below the line":             {"{}\n" + `{"type":"session","length":1}` + "\n{}\n", "want a line break or the end"},
		"negative length":                   {"{}\n" + `{"type":"session","length":-1}` + "\n{}\n", "0 or more"},
		"length that is null":               {"{}\n" + `{"type":"session","length":null}` + "\n{}\n", "0 or more"},
		"length that is text":               {"{}\n" + `{"type":"session","length":"2"}` + "\n{}\n", "0 or more"},
		"unknown type":                      {"{}\n" + item("telepathy", "{}", ""), `type "telepathy": the type is unknown`},
		"reserved type":                     {"{}\n" + item("security", "{}", ""), "reserved"},
		"two events":                        {head + "\n" + item("event", event, "") + item("event", event, ""), "twice"},
		"event and transaction":             {head + "\n" + item("event", event, "") + item("transaction", "{}", ""), "exclude each other"},
		"replay alone":                      {"{}\n" + item("replay_event", "{}", ""), "must come together"},
		"profile alone":                     {"{}\n" + item("profile", "{}", ""), "without its transaction"},
		"too many sessions":                 {"{}\n" + strings.Repeat(item("session", "{}", ""), 101), "more than 100"},
		"too many items":                    {"{}\n" + strings.Repeat(item("session", "{}", ""), 1001), "more than 1000 items"},
		"event without its id in the head":  {"{}\n" + item("event", event, ""), "must have an event_id"},
		"attachment without a name":         {head + "\n" + item("attachment", "x", ""), "filename"},
		"payload that is no object":         {"{}\n" + item("session", "[]", ""), "want a JSON object"},
		"payload that is not UTF-8":         {"{}\n" + item("session", "{\"a\":\"\xff\"}", ""), "not UTF-8"},
		"logs of another content type":      {"{}\n" + item("log", `{"items":[]}`, ""), "content_type"},
		"logs without items":                {"{}\n" + item("log", `{}`, `,"content_type":"application/vnd.sentry.items.log+json"`), "array called items"},
		"logs counted wrongly":              {"{}\n" + item("log", `{"items":[{}]}`, `,"item_count":2,"content_type":"application/vnd.sentry.items.log+json"`), "item_count is 2"},
		"client report without its array":   {"{}\n" + item("client_report", `{}`, ""), "discarded_events"},
		"client report of nothing":          {"{}\n" + item("client_report", `{"discarded_events":[{"reason":"x","category":"error"}]}`, ""), "quantity 0"},
		"event with another form of its id": {head + "\n" + item("event", strings.Replace(event, id, strings.ToUpper(id), 1), ""), "32 lower-case"},
		"event without a time":              {head + "\n" + item("event", `{"event_id":"`+id+`","platform":"go"}`, ""), "timestamp is missing"},
		"event without a platform":          {head + "\n" + item("event", `{"event_id":"`+id+`","timestamp":1}`, ""), "platform is missing"},
		"event with a time before time":     {head + "\n" + item("event", `{"event_id":"`+id+`","timestamp":-1,"platform":"go"}`, ""), "taken seriously"},
		"event with a time that is none":    {head + "\n" + item("event", `{"event_id":"`+id+`","timestamp":"now","platform":"go"}`, ""), "RFC 3339"},
		"event with an unknown level":       {ev(`,"level":"dire"`), "want one of fatal"},
		"event with a number for text":      {ev(`,"release":7`), "want a string"},
		"event with a message that is none": {ev(`,"message":7`), "called formatted"},
		"event with tags that are none":     {ev(`,"tags":7`), "object of strings"},
		"event with a key that is none":     {ev(`,"tags":{"a b":"c"}`), "letters, digits"},
		"event with a long tag":             {ev(`,"tags":{"a":"` + strings.Repeat("x", 201) + `"}`), "at most 200"},
		"event with lines in a tag":         {ev(`,"tags":{"a":"x\ny"}`), "one line"},
		"event with a fingerprint of none":  {ev(`,"fingerprint":"x"`), "array of strings"},
		"event with a user that is none":    {ev(`,"user":7`), "want an object"},
		"event with contexts that are none": {ev(`,"contexts":{"a":7}`), "object of objects"},
		"event with exceptions of none":     {ev(`,"exception":7`), "array of exceptions"},
		"exception without anything":        {ev(`,"exception":[{}]`), "neither type nor value"},
		"exception with no mechanism":       {ev(`,"exception":[{"type":"a","mechanism":{}}]`), "no type"},
		"exception with an empty stack":     {ev(`,"exception":{"values":[{"type":"a","stacktrace":{"frames":[]}}]}`), "a stack of 0 frames"},
		"exception with an empty frame":     {ev(`,"exception":[{"type":"a","stacktrace":{"frames":[{"lineno":1}]}}]`), "want a function"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sentryfake.Parse([]byte(c[0]))
			if err == nil || !strings.Contains(err.Error(), c[1]) {
				t.Errorf("the error is %v, want one that says %q", err, c[1])
			}
		})
	}
}

func TestWhatIsTooLargeIsSaidToBe(t *testing.T) {
	large := `{"event_id":"` + id + `","timestamp":1,"platform":"go","message":"` + strings.Repeat("x", 1<<20) + `"}`
	_, err := sentryfake.Parse([]byte(head + "\n" + item("event", large, "")))
	if !errors.Is(err, sentryfake.ErrTooLarge) {
		t.Errorf("of an event above 1 MiB the error is %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "\n" + item("event", event, "")))
	f.Add([]byte("{}\n" + `{"type":"session"}` + "\n{}"))
	f.Add([]byte(head + "\n" + item("attachment", "a\nb", `,"filename":"x"`) + item("event", event, "")))
	f.Add([]byte("{}\n" + item("log", `{"items":[{}]}`, `,"item_count":1,"content_type":"application/vnd.sentry.items.log+json"`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := sentryfake.Parse(data)
		if err != nil {
			if len(e.Items) > 0 || e.Header != (sentryfake.Header{}) {
				t.Errorf("an error, %v, and an envelope, %+v", err, e)
			}
			return
		}
		// Written with lengths, the items are read as the same again.
		var b strings.Builder
		b.WriteString("{")
		if e.Header.EventID != "" {
			fmt.Fprintf(&b, `"event_id":%q`, e.Header.EventID)
		}
		b.WriteString("}\n")
		for _, i := range e.Items {
			header, err := json.Marshal(map[string]any{
				"type": i.Type, "filename": "f", "content_type": i.ContentType, "item_count": i.ItemCount, "length": len(i.Payload),
			})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s\n%s\n", header, i.Payload)
		}
		again, err := sentryfake.Parse([]byte(b.String()))
		if err != nil || len(again.Items) != len(e.Items) {
			t.Fatalf("read again: %v, %d items in place of %d", err, len(again.Items), len(e.Items))
		}
		for n, i := range e.Items {
			if string(again.Items[n].Payload) != string(i.Payload) {
				t.Errorf("item %d is %q the second time, %q the first", n+1, again.Items[n].Payload, i.Payload)
			}
		}
	})
}
