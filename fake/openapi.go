package fake

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

// openAPI describes the control plane of a service's fake, as made of endpoints: OpenAPI 3.1.
func openAPI(service string) map[string]any {
	paths := map[string]map[string]any{}
	for _, e := range control.Shown(endpoints()) {
		operation := map[string]any{
			"operationId": operationID(e),
			"summary":     e.Doc,
			"responses": map[string]any{
				"200":     content("what was asked for", "application/json", schemaOf(reflect.TypeOf(e.Out))),
				"default": content("why not", failure.ContentType, schemaOf(reflect.TypeFor[failure.Problem]())),
			},
		}
		if e.In != nil {
			body := content(e.Body, "application/json", schemaOf(reflect.TypeOf(e.In)))
			body["required"] = !e.Lax
			operation["requestBody"] = body
		}
		operation["parameters"] = parameters(e.Path)
		if paths[e.Path] == nil {
			paths[e.Path] = map[string]any{}
		}
		paths[e.Path][strings.ToLower(e.Method)] = operation
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Control plane of the network fake of " + service, "version": "1",
			"description": "Faults, recorded calls, state, tenants and the clock of a network fake. It answers on loopback only, to requests that no web page makes.",
		},
		"paths": paths,
	}
}

// parameters are those of an operation: what its path leaves open, and the header that names a tenant.
func parameters(path string) []any {
	list := []any{map[string]any{
		"name": TenantHeader, "in": "header", "required": false, "description": "the tenant that it is about; the fake itself without", "schema": map[string]any{"type": "string"},
	}}
	for _, p := range []struct{ name, of, kind string }{{"id", "the fault's number", "integer"}, {"name", "the name", "string"}} {
		if strings.Contains(path, "{"+p.name+"}") {
			list = append(list, map[string]any{
				"name": p.name, "in": "path", "required": true, "description": p.of, "schema": map[string]any{"type": p.kind},
			})
		}
	}
	return list
}

// operationID names an operation in generated clients: getFaults, postFaultsIdWait.
func operationID(e endpoint) string {
	id := strings.ToLower(e.Method)
	for word := range strings.FieldsFuncSeq(e.Path, func(r rune) bool { return strings.ContainsRune("/{}.", r) }) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	if e.Path == "/" {
		id += "Index"
	}
	return id
}

func content(description, mediaType string, schema map[string]any) map[string]any {
	return map[string]any{"description": description, "content": map[string]any{mediaType: map[string]any{"schema": schema}}}
}

// schemaOf is the JSON Schema of what package encoding/json makes of a type. Types of documents have
// tags "doc".
func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[Phase]():
		return map[string]any{"type": "string", "enum": phases}
	case t == reflect.TypeFor[Action]():
		return map[string]any{"type": "string", "enum": actions[1:]}
	case t == reflect.TypeFor[Sent]():
		return map[string]any{"type": "string", "enum": []Sent{SentAnswer, SentFailure, SentPart, SentNothing}}
	case t == reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case t == reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case t == reflect.TypeFor[duration]():
		return map[string]any{"type": "string", "description": "a number and a unit, such as 150ms or 2s"}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object"}
	case reflect.Struct:
		properties := map[string]any{}
		required := describe(t, properties, []string{})
		return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	}
	return map[string]any{"type": "integer"}
}

// describe adds the fields of a struct to properties, and those that are always there to required.
func describe(t reflect.Type, properties map[string]any, required []string) []string {
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && tag == "":
			required = describe(f.Type, properties, required)
			continue
		case !f.IsExported() || name == "-":
			continue
		}
		schema := schemaOf(f.Type)
		if doc := f.Tag.Get("doc"); doc != "" {
			schema["description"] = doc
		}
		properties[name] = schema
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	return required
}
