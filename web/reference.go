package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"go.yaml.in/yaml/v3"

	"stile/internal/locale"
)

// reference is the description of the API, read once and shown as a page.
type reference struct {
	yaml     []byte
	json     []byte
	intro    map[locale.Lang]template.HTML
	sections []tagged
}

// tagged is a group of operations.
type tagged struct {
	Tag        string
	Operations []*operation
}

// operation is one call of the API.
type operation struct {
	ID, Method, Path string
	// NeedsToken reports that the call is refused without one.
	NeedsToken bool
	Title      map[locale.Lang]string
	Text       map[locale.Lang]template.HTML
	Parameters []parameter
	Fields     []field
	// Body is the example of what is sent, as JSON; "" = nothing is sent.
	Body    string
	Answers []answer
}

// parameter is what an address or a header carries.
type parameter struct {
	Name, In, Example, Text string
	IsRequired              bool
}

// field is one value of a body.
type field struct {
	Name, Type, Text string
	IsRequired       bool
}

// answer is what may come back, by status.
type answer struct {
	Status string
	IsGood bool
	// Codes are the refusals that come with it.
	Codes    []string
	Text     template.HTML
	Examples []example
}

// example is one answer in full.
type example struct{ Name, Body string }

// russianIntro is where the description goes on in Russian.
const russianIntro = "# Введение"

// methods are the keys of a path that are operations.
var methods = []string{"get", "post", "put", "patch", "delete"}

// newReference reads an OpenAPI file.
func newReference(document []byte, t *texts) (*reference, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is no object")
	}
	r := &reference{yaml: document, intro: make(map[locale.Lang]template.HTML)}
	d := node{root.Content[0]}
	var b bytes.Buffer
	if err := d.writeJSON(&b); err != nil {
		return nil, err
	}
	r.json = b.Bytes()
	inEnglish, inRussian, _ := strings.Cut(d.at("info", "description").text(), russianIntro)
	r.intro[locale.English], r.intro[locale.Russian] = markdown(inEnglish), markdown(russianIntro+inRussian)
	doc := reader{root: d, texts: t}
	paths := d.at("paths")
	for _, path := range paths.keys() {
		for _, method := range paths.at(path).keys() {
			if op := paths.at(path, method); slices.Contains(methods, method) {
				r.add(op.at("tags").first().text(), doc.operation(method, path, op, paths.at(path, "parameters")))
			}
		}
	}
	if len(r.sections) == 0 {
		return nil, errors.New("it has no operations")
	}
	return r, nil
}

func (r *reference) add(tag string, op *operation) {
	i := slices.IndexFunc(r.sections, func(s tagged) bool { return s.Tag == tag })
	if i < 0 {
		i = len(r.sections)
		r.sections = append(r.sections, tagged{Tag: tag})
	}
	r.sections[i].Operations = append(r.sections[i].Operations, op)
}

// reader turns the document's nodes into what is shown.
type reader struct {
	root  node
	texts *texts
}

// resolve follows a reference inside the document, once.
func (d *reader) resolve(n node) node {
	ref, ok := strings.CutPrefix(n.at("$ref").text(), "#/")
	if !ok {
		return n
	}
	return d.root.at(strings.Split(ref, "/")...)
}

func (d *reader) operation(method, path string, op, shared node) *operation {
	o := &operation{
		ID: op.at("operationId").text(), Method: strings.ToUpper(method), Path: path,
		Title: make(map[locale.Lang]string), Text: make(map[locale.Lang]template.HTML),
	}
	security := op.at("security")
	o.NeedsToken = security.Node == nil || len(security.Content) > 0
	for _, l := range locale.All() {
		o.Title[l], o.Text[l] = op.at("summary").text(), markdown(op.at("description").text())
		if key := "docs.op." + o.ID; d.texts.Has(l, key+".title") {
			o.Title[l], o.Text[l] = d.texts.In(l, key+".title"), markdown(d.texts.In(l, key+".text"))
		}
	}
	for _, p := range append(shared.items(), op.at("parameters").items()...) {
		p = d.resolve(p)
		o.Parameters = append(o.Parameters, parameter{
			Name: p.at("name").text(), In: p.at("in").text(), Example: p.at("example").text(), Text: p.at("description").text(),
			IsRequired: p.at("required").text() == "true",
		})
	}
	body := d.resolve(op.at("requestBody")).at("content", "application/json")
	if examples := body.at("examples"); examples.Node != nil {
		o.Body = d.resolve(examples.at(examples.keys()[0])).at("value").indented()
	}
	o.Fields = d.fields(d.resolve(body.at("schema")))
	answers := op.at("responses")
	for _, status := range answers.keys() {
		o.Answers = append(o.Answers, d.answer(status, d.resolve(answers.at(status))))
	}
	return o
}

// fields are the properties of an object.
func (d *reader) fields(schema node) []field {
	var required, fields = []string{}, []field{}
	for _, r := range schema.at("required").items() {
		required = append(required, r.text())
	}
	properties := schema.at("properties")
	for _, name := range properties.keys() {
		p := properties.at(name)
		resolved := d.resolve(p)
		f := field{Name: name, Text: p.at("description").text(), IsRequired: slices.Contains(required, name)}
		if f.Text == "" {
			f.Text = resolved.at("description").text()
		}
		if t := resolved.at("type"); t.Node != nil && t.Kind == yaml.SequenceNode {
			var types []string
			for _, one := range t.items() {
				types = append(types, one.text())
			}
			f.Type = strings.Join(types, ", ")
		} else {
			f.Type = t.text()
		}
		fields = append(fields, f)
	}
	return fields
}

// refusalCode finds the codes that a description names.
var refusalCode = regexp.MustCompile("`([a-z]+(?:_[a-z]+)+|unauthenticated)`")

func (d *reader) answer(status string, a node) answer {
	text := a.at("description").text()
	out := answer{Status: status, IsGood: status < "400", Text: markdown(text)}
	for _, match := range refusalCode.FindAllStringSubmatch(text, -1) {
		if !out.IsGood && match[1] != "renew_url" && match[1] != "resets_at" {
			out.Codes = append(out.Codes, match[1])
		}
	}
	for _, kind := range []string{"application/json", "application/jsonl", "text/csv"} {
		examples := a.at("content", kind, "examples")
		for _, name := range examples.keys() {
			out.Examples = append(out.Examples, example{Name: name, Body: d.resolve(examples.at(name)).at("value").indented()})
		}
	}
	return out
}

// markdown renders a text of the document. HTML in it is left out.
func markdown(text string) template.HTML {
	text = strings.ReplaceAll("\n"+text, "\n# ", "\n## ") // the page has a heading of its own
	var b bytes.Buffer
	if err := goldmark.Convert([]byte(text), &b); err != nil {
		return template.HTML(template.HTMLEscapeString(text)) //nolint:gosec // escaped here
	}
	return template.HTML(b.String()) //nolint:gosec // goldmark leaves raw HTML out
}

// docsPage is the reference as it is shown.
type docsPage struct {
	Intro    template.HTML
	Sections []tagged
	Calls    template.HTML
	Base     string
	Lang     locale.Lang
}

func (s *Site) docs(v *visit) error {
	p := docsPage{Intro: s.reference.intro[v.lang], Sections: s.reference.sections, Base: v.baseURL(), Lang: v.lang}
	var err error
	if p.Calls, err = v.fragment("docs", fragmentKey{name: "calls", base: p.Base}, p); err != nil {
		return err
	}
	return v.page(http.StatusOK, "docs", p)
}

// baseURL is where the visitor's browser reaches the service.
func (v *visit) baseURL() string {
	if v.site.publicURL != "" {
		return v.site.publicURL
	}
	return "http://" + v.r.Host
}

func (s *Site) documentYAML(v *visit) error {
	v.w.Header().Set("Content-Disposition", `attachment; filename="stile-openapi.yaml"`)
	v.send(http.StatusOK, "application/yaml", s.reference.yaml)
	return nil
}

func (s *Site) documentJSON(v *visit) error {
	v.w.Header().Set("Content-Disposition", `attachment; filename="stile-openapi.json"`)
	v.send(http.StatusOK, "application/json", s.reference.json)
	return nil
}

// node is a place in the document; its Node is nil where there is nothing.
type node struct{ *yaml.Node }

// at walks down by keys.
func (n node) at(keys ...string) node {
	for _, key := range keys {
		n = n.followed()
		if n.Node == nil || n.Kind != yaml.MappingNode {
			return node{}
		}
		i := 0
		for i < len(n.Content) && n.Content[i].Value != key {
			i += 2
		}
		if i >= len(n.Content) {
			return node{}
		}
		n = node{n.Content[i+1]}
	}
	return n.followed()
}

// followed is what an alias stands for.
func (n node) followed() node {
	if n.Node != nil && n.Kind == yaml.AliasNode {
		return node{n.Alias}
	}
	return n
}

// keys are those of an object, in the document's order.
func (n node) keys() []string {
	var keys []string
	if n.Node != nil && n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			keys = append(keys, n.Content[i].Value)
		}
	}
	return keys
}

// items are those of a list.
func (n node) items() []node {
	var items []node
	if n.Node != nil && n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			items = append(items, node{item}.followed())
		}
	}
	return items
}

// first is the first item of a list.
func (n node) first() node {
	if items := n.items(); len(items) > 0 {
		return items[0]
	}
	return node{}
}

// text is a scalar as it is written.
func (n node) text() string {
	if n.Node == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// indented is a value as JSON for people.
func (n node) indented() string {
	var plain, b bytes.Buffer
	if n.Node == nil || n.writeJSON(&plain) != nil || json.Indent(&b, plain.Bytes(), "", "  ") != nil {
		return ""
	}
	return b.String()
}

// maxDepth bounds how deep a document may nest, aliases followed.
const maxDepth = 100

// writeJSON writes a value as JSON, keys in the document's order.
func (n node) writeJSON(b *bytes.Buffer) error { return n.write(b, maxDepth) }

func (n node) write(b *bytes.Buffer, depth int) error {
	if n = n.followed(); depth == 0 {
		return errors.New("it nests too deep")
	}
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeScalar(b, n.Content[i].Value); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := (node{n.Content[i+1]}).write(b, depth-1); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := (node{item}).write(b, depth-1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	default:
		var v any
		if err := n.Decode(&v); err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		return writeScalar(b, v)
	}
}

func writeScalar(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line break
	return nil
}
