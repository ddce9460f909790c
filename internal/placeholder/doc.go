// Package placeholder reads the command that a run is given and writes it for each
// target, with placeholders replaced. Call [Parse] once, then
// [Template.Expand] for every target.
//
// # Placeholders
//
//	{host}   the host's name as it was written, without user and port
//	{user}   the login name
//	{port}   the TCP port, 22 where none was written
//	{index}  the place of the target in the run, from 0
//	{attr.X} the attribute X that the inventory has of the host, always quoted;
//	         a host without it is not tried
//
// With the filter sh the value is quoted: {host|sh} gives 'node1', one word that
// means the same to sh, bash, dash, ksh, zsh, csh, tcsh and fish. A host whose
// value has a newline, which no quoting carries through csh, is not tried.
// Without the filter the value stands in the command as it is.
//
// A placeholder is {word} or {word|filter}, where a word is a lower-case letter
// followed by lower-case letters, digits, underscores and single dots. A word or
// a filter that does not exist is an error, never text: a mistyped {hsot} must
// not run on ten thousand machines. Every other brace is left alone, and a {
// directly after $ never begins a placeholder:
//
//	awk '{print $1}'      find . -exec rm {} +      echo {a,b}{a..z}{1..3}
//	echo ${x:-${host}}    curl -d '{"k":1}'         { date; }
//
// # Literal braces
//
// {{host}} stands for the text {host}, and what looks like a placeholder but is
// none is written the same way: awk '{{print}}' runs awk '{print}'.
//
// A command with a placeholder is a template, and so is one whose every {{
// begins such an escaped {{word}}. In a template {{ stands for { and }} for },
// read from left to right, with one exception: what one { opened one } closes.
//
//	{{host}} {{x}}                    {host} {x}
//	{{{host}}}                        {node1}
//	{{"a":{{"h":"{host}"}}}}          {"a":{"h":"node1"}}
//	{"a":{"h":"{host}"}}              {"a":{"h":"node1"}}
//	echo ${a:-${b}} {host}            echo ${a:-${b}} node1
//	f='{{{{.Names}}}} on {host}'      f='{{.Names}} on node1'
//
// Any other command is sent byte for byte as it is, doubled braces too:
//
//	docker ps --format '{{.Names}}'
//	docker ps --format '{{range .Ports}}{{.}}{{end}}'
//	echo ${a:-${b}}
//
// # What is sent
//
// The result is handed to the server as the exec request's command (RFC 4254
// §6.5), which servers give to the user's login shell. A command may have
// several lines, and is then a script to that shell. Nothing is added: no shell
// is started here, and quoting for other shells (PowerShell) is the writer's
// business.
package placeholder
