package failcode

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"reflect"
	"strings"
	"time"

	"golang.org/x/tools/go/types/typeutil"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Describe is a declared code as package failure describes it: the code is declared once more, in a set
// of its own, so that what the declaration leaves open follows here from what it follows in the program.
// The error says what would stop the program when it starts, or what cannot be told from the source.
func Describe(s *Source, c Code) (d failure.Description, err error) {
	var options []failure.Option
	for _, e := range c.Options {
		o, err := s.option(e)
		if err != nil {
			return d, err
		}
		options = append(options, o)
	}
	set, number := c.Set, c.Number
	if s.Own() { // only package failure can declare in the chassis's numbers
		set, number = "own", number+1000
	}
	defer func() {
		if r := recover(); r != nil {
			what := fmt.Sprint(r)
			if _, after, ok := strings.Cut(what, "): "); ok {
				what = after
			}
			err = fmt.Errorf("this declaration would stop the program when it starts: %s", what)
		}
	}()
	// The methods are found by their names because it is the source that names them.
	declare := reflect.ValueOf(failure.NewSet(set)).MethodByName(c.Class)
	in := []reflect.Value{reflect.ValueOf(number), reflect.ValueOf(c.Message)}
	for _, o := range options {
		in = append(in, reflect.ValueOf(o))
	}
	d = declare.Call(in)[0].Interface().(*failure.Code).Describe()
	d.Set, d.Number, d.Place = c.Set, c.Number, s.Place(c.Pos)
	if s.Own() {
		code, ok := failure.Chassis.Lookup(c.Number)
		if !ok {
			return d, errors.New("the chassis that this command was built with does not have the code: build the command of the same version")
		}
		d.Type, d.Reason = code.TypeURI(), code.Reason()
	}
	return d, nil
}

var errOption = errors.New("this option cannot be read without running the program: write a call of HTTPStatus, GRPCCode, Retryable, Runbook or Alert with a constant, so that tables and alerts can be made of the source")

// option is what an expression makes of a code.
func (s *Source) option(e ast.Expr) (failure.Option, error) {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return nil, errOption
	}
	f := typeutil.StaticCallee(s.Info, call)
	if f == nil || len(call.Args) != 1 {
		return nil, errOption
	}
	value := s.Info.Types[call.Args[0]].Value
	if value == nil || !isFunction(f, f.Name()) {
		return nil, errOption
	}
	n, _ := constant.Int64Val(constant.ToInt(value))
	switch f.Name() {
	case "HTTPStatus":
		return failure.HTTPStatus(int(n)), nil
	case "GRPCCode":
		return failure.GRPCCode(failure.GRPC(n)), nil
	case "Retryable":
		return failure.Retryable(time.Duration(n)), nil
	case "Alert":
		return failure.Alert(failure.Severity(n)), nil
	case "Runbook":
		return failure.Runbook(constant.StringVal(value)), nil
	}
	return nil, errOption
}
