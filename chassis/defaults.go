package chassis

import "reflect"

// defaulter is a part of a configuration that knows its own defaults.
type defaulter interface{ SetDefaults() }

// setDefaults calls SetDefaults on every struct in the struct that p points to, the outer
// before the inner.
func setDefaults(p any) {
	v := reflect.ValueOf(p).Elem()
	if v.Kind() != reflect.Struct {
		return
	}
	if d, ok := p.(defaulter); ok {
		d.SetDefaults()
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct && v.Type().Field(i).IsExported() {
			setDefaults(f.Addr().Interface())
		}
	}
}
