package failcode

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// A use is what is done with a code where it is mentioned.
type use int

const (
	reads   use = iota // it goes nowhere
	answers            // it may be what is answered
	copies             // a package-level variable gets it
	changes            // its variable changes, or may
)

// readUses finds every mention of the codes.
func (r *reader) readUses(files []*ast.File) {
	if len(r.codes) == 0 {
		return
	}
	for at := range inspector.New(files).Root().Preorder((*ast.Ident)(nil)) {
		name := at.Node().(*ast.Ident)
		v, _ := r.Info.Uses[name].(*types.Var)
		i, ok := r.codes[v]
		if !ok {
			continue
		}
		code := &r.Codes[i]
		switch r.use(at) {
		case answers:
			code.Answers = append(code.Answers, name.Pos())
		case copies:
			code.Copied = append(code.Copied, name.Pos())
		case changes:
			code.Changed = append(code.Changed, name.Pos())
		}
	}
}

// use tells what becomes of the code that is mentioned at a place. It climbs from there as long as
// the expression around it is still that code, or an answer made of it.
func (r *reader) use(at inspector.Cursor) use {
	made := false  // at is an answer made of the code
	table := false // at is a composite value that holds it
	for {
		kind, i := at.ParentEdge()
		parent := at.Parent().Node()
		switch kind {
		case edge.ParenExpr_X, edge.KeyValueExpr_Value:
		case edge.CompositeLit_Elts:
			table = true
		case edge.SelectorExpr_X:
			selector := parent.(*ast.SelectorExpr)
			if !makesAnswer(r.Info.Uses[selector.Sel]) {
				return whether(made || table, answers, reads)
			}
			made = true
		case edge.CallExpr_Fun: // of a method that makes an answer
		case edge.CallExpr_Args:
			call := parent.(*ast.CallExpr)
			if !r.Info.Types[call.Fun].IsType() { // a conversion is still the code
				return whether(!made && r.onlyReads(call), reads, answers)
			}
		case edge.BinaryExpr_X, edge.BinaryExpr_Y, edge.CaseClause_List, edge.SwitchStmt_Tag, edge.KeyValueExpr_Key, edge.IndexExpr_Index:
			return reads
		case edge.UnaryExpr_X:
			if !table { // it is &code
				return changes
			}
		case edge.AssignStmt_Lhs, edge.RangeStmt_Key, edge.RangeStmt_Value:
			return changes
		case edge.AssignStmt_Rhs:
			assign := parent.(*ast.AssignStmt)
			return r.kept(assign.Lhs[i], table)
		case edge.ValueSpec_Values:
			return r.kept(parent.(*ast.ValueSpec).Names[i], table)
		default:
			return answers
		}
		at = at.Parent()
	}
}

// kept tells what it is to give a code, or a table with it, to the variable to. A table that only its
// package can see is one place.
func (r *reader) kept(to ast.Expr, table bool) use {
	name, ok := ast.Unparen(to).(*ast.Ident)
	if ok && name.Name == "_" {
		return reads
	}
	v := r.variableOf(to)
	if v == nil && ok {
		v, _ = r.Info.Defs[name].(*types.Var)
	}
	if v != nil && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() && (!table || v.Exported()) {
		return copies
	}
	return answers
}

// makesAnswer reports whether o is a method of Code or Error whose result is an answer.
func makesAnswer(o types.Object) bool {
	f, ok := o.(*types.Func)
	if !ok {
		return false
	}
	if isMethod(f, "Code") || isMethod(f, "Error") {
		r := f.Signature().Results()
		return r.Len() == 1 && isNamed(r.At(0).Type(), "Error")
	}
	return false
}

// onlyReads reports whether a function only looks at the codes it is handed.
func (r *reader) onlyReads(call *ast.CallExpr) bool {
	f, ok := typeutil.Callee(r.Info, call).(*types.Func)
	if !ok || f.Pkg() == nil {
		return false
	}
	switch path := f.Pkg().Path(); path {
	case "errors":
		return f.Name() == "Is" || f.Name() == "As"
	default:
		return path == fakes || strings.HasPrefix(path, fakes+"/")
	}
}

func whether(is bool, yes, no use) use {
	if is {
		return yes
	}
	return no
}
