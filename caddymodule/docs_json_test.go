package caddymodule

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// caddyserver.com shows the comments of the fields as the documentation of the config.
func TestDocs_EveryJSONFieldHasComment(t *testing.T) {
	seen := map[reflect.Type]bool{}
	for _, module := range caddy.Modules() {
		info, err := caddy.GetModule(module)
		if err != nil {
			t.Fatal(err)
		}
		visitJSON(reflect.TypeOf(info.New()), seen)
	}
	fields := 0
	for structure := range seen {
		comments := fieldCommentsOf(t, structure)
		for field := range structure.Fields() {
			if !inJSON(field) {
				continue
			}
			fields++
			if comments[field.Name] == "" {
				t.Errorf("%v.%s has no comment", structure, field.Name)
			}
		}
	}
	if len(seen) < 8 || fields < 100 {
		t.Errorf("found %d types and %d fields only", len(seen), fields)
	}
}

const ourPackage = "github.com/mevdschee/caddy-php-pool/caddymodule"

// inJSON reports whether a field has a name in JSON. An embedded struct without a tag
// has not: its fields have.
func inJSON(field reflect.StructField) bool {
	name, ok := field.Tag.Lookup("json")
	return field.IsExported() && ok && name != "-"
}

// visitJSON adds the structs of this module to seen that the JSON of typ consists of.
func visitJSON(typ reflect.Type, seen map[reflect.Type]bool) {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		visitJSON(typ.Elem(), seen)
	case reflect.Struct:
		if seen[typ] || !strings.HasPrefix(typ.PkgPath(), ourPackage) {
			return
		}
		seen[typ] = true
		for field := range typ.Fields() {
			if inJSON(field) || field.Anonymous {
				visitJSON(field.Type, seen)
			}
		}
	default: // the others contain no types
	}
}

// fieldCommentsOf returns the comments of a struct's fields, which are in the source.
func fieldCommentsOf(t *testing.T, structure reflect.Type) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("."+strings.TrimPrefix(structure.PkgPath(), ourPackage), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if fields, ok := spec.Type.(*ast.StructType); ok && spec.Name.Name == structure.Name() {
				for _, field := range fields.Fields.List {
					for _, name := range field.Names {
						comments[name.Name] = strings.TrimSpace(field.Doc.Text() + field.Comment.Text())
					}
				}
			}
			return false
		})
	}
	return comments
}
