// Package placeholder expands the placeholders of a run's command for each target. Call
// [Parse] once, then [Template.Expand] for every target.
//
// # Placeholders
//
//	{host}   the host's name as it was written, without user and port
//	{user}   the login name
//	{port}   the TCP port, 22 if none was given
//	{index}  the index of the target in the run, from 0
//	{attr.X} the host's attribute X in the inventory, always quoted;
//	         a host without it is not tried
//
// With the filter sh the value is quoted: {host|sh} gives 'node1', one word that means the
// same to sh, bash, dash, ksh, zsh, csh, tcsh and fish. A host whose value has a newline,
// which cannot be quoted for csh, is not tried. Without the filter the value is inserted
// unchanged.
//
// A placeholder is {word} or {word|filter}. A word is a lower-case letter followed by
// lower-case letters, digits, underscores and single dots. An unknown word or filter is an
// error and never literal text: a mistyped {hsot} must not run on ten thousand machines.
// Every other brace is left alone, and a { directly after $ never begins a placeholder:
//
//	awk '{print $1}'      find . -exec rm {} +      echo {a,b}{a..z}{1..3}
//	echo ${x:-${host}}    curl -d '{"k":1}'         { date; }
//
// # Literal braces
//
// {{host}} is the escaped form of the text {host}. Text that looks like a placeholder but
// is none is escaped in the same way: awk '{{print}}' runs awk '{print}'.
//
// A command with a placeholder is a template, and so is a command in which every {{ begins
// such an escaped {{word}}. In a template {{ means { and }} means }, read from left to
// right, with one exception: a } that closes a single { is single too.
//
//	{{host}} {{x}}                    {host} {x}
//	{{{host}}}                        {node1}
//	{{"a":{{"h":"{host}"}}}}          {"a":{"h":"node1"}}
//	{"a":{"h":"{host}"}}              {"a":{"h":"node1"}}
//	echo ${a:-${b}} {host}            echo ${a:-${b}} node1
//	f='{{{{.Names}}}} on {host}'      f='{{.Names}} on node1'
//
// Any other command is sent unchanged, including doubled braces:
//
//	docker ps --format '{{.Names}}'
//	docker ps --format '{{range .Ports}}{{.}}{{end}}'
//	echo ${a:-${b}}
//
// # What is sent
//
// The result is sent as the command of the exec request (RFC 4254 §6.5), which servers
// pass to the user's login shell. A command may have several lines and is then a script
// for that shell. Nothing is added: no other shell is started, and quoting for other
// shells (PowerShell) is the user's task.
package placeholder
