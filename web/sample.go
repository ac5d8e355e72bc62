package web

import (
	"encoding/json"
	"strconv"
	"strings"
)

// sample is a call in one programming language.
type sample struct{ Name, Code string }

// samples are an operation's call in four languages.
func (o *operation) samples(base string) []sample {
	address := base + o.Path
	for _, p := range o.Parameters {
		if p.In == "path" {
			address = strings.ReplaceAll(address, "{"+p.Name+"}", p.Example)
		}
	}
	return []sample{{"curl", o.curl(address)}, {"JavaScript", o.javaScript(address)}, {"Go", o.golang(address)}, {"Python", o.python(address)}}
}

const sampleToken = "Bearer {YOUR_AUTH_KEY}"

func (o *operation) curl(address string) string {
	lines := []string{`curl --request ` + o.Method + ` "` + address + `"`}
	if o.NeedsToken {
		lines = append(lines, `--header "Authorization: `+sampleToken+`"`)
	}
	lines = append(lines, `--header "Accept: application/json"`)
	if o.Body != "" {
		lines = append(lines, `--header "Content-Type: application/json"`, "--data '"+strings.ReplaceAll(o.Body, "'", `'\''`)+"'")
	}
	return strings.Join(lines, " \\\n    ")
}

func (o *operation) javaScript(address string) string {
	var b strings.Builder
	b.WriteString("const response = await fetch(" + strconv.Quote(address) + ", {\n  method: \"" + o.Method + "\",\n  headers: {\n")
	if o.NeedsToken {
		b.WriteString("    \"Authorization\": \"" + sampleToken + "\",\n")
	}
	if o.Body != "" {
		b.WriteString("    \"Content-Type\": \"application/json\",\n")
	}
	b.WriteString("    \"Accept\": \"application/json\",\n  },\n")
	if o.Body != "" {
		b.WriteString("  body: JSON.stringify(" + strings.ReplaceAll(o.Body, "\n", "\n  ") + "),\n")
	}
	b.WriteString("});\nconst answer = await response.json();")
	return b.String()
}

func (o *operation) golang(address string) string {
	body := "nil"
	var b strings.Builder
	if o.Body != "" {
		body = "body"
		b.WriteString("body := strings.NewReader(`" + o.Body + "`)\n")
	}
	b.WriteString("req, err := http.NewRequestWithContext(ctx, " + strconv.Quote(o.Method) + ", " + strconv.Quote(address) + ", " + body + ")\n" +
		"if err != nil {\n\treturn err\n}\n")
	if o.NeedsToken {
		b.WriteString("req.Header.Set(\"Authorization\", \"" + sampleToken + "\")\n")
	}
	b.WriteString("req.Header.Set(\"Accept\", \"application/json\")\n")
	if o.Body != "" {
		b.WriteString("req.Header.Set(\"Content-Type\", \"application/json\")\n")
	}
	b.WriteString("resp, err := http.DefaultClient.Do(req)\nif err != nil {\n\treturn err\n}\ndefer resp.Body.Close()")
	return b.String()
}

func (o *operation) python(address string) string {
	var b strings.Builder
	b.WriteString("import requests\n\nresponse = requests.request(\n    " + strconv.Quote(o.Method) + ",\n    " + strconv.Quote(address) + ",\n    headers={\n")
	if o.NeedsToken {
		b.WriteString("        \"Authorization\": \"" + sampleToken + "\",\n")
	}
	b.WriteString("        \"Accept\": \"application/json\",\n    },\n")
	if o.Body != "" {
		b.WriteString("    json=" + pythonLiteral(o.Body) + ",\n")
	}
	b.WriteString(")\nanswer = response.json()")
	return b.String()
}

// pythonLiteral is a JSON text as Python writes it.
func pythonLiteral(body string) string {
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return body
	}
	words := strings.NewReplacer(": true", ": True", ": false", ": False", ": null", ": None")
	return strings.ReplaceAll(words.Replace(body), "\n", "\n    ")
}
