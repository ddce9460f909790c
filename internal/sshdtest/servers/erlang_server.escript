#!/usr/bin/env escript
%% A server on Erlang's ssh application that runs commands.
%%
%% An Erlang port cannot close only a command's input, so commands have none.
%% It has a single output stream, so standard error is sent at the command's end.
-module(erlang_server).
-mode(compile).
-behaviour(ssh_server_channel).
-export([main/1, init/1, handle_msg/2, handle_ssh_msg/2, terminate/2]).

main([File]) ->
    {ok, [#{port := Port, address := Address} = Config]} = file:consult(File),
    ok = ssh:start(),
    {ok, IP} = inet:parse_address(Address),
    case ssh:daemon(IP, Port, options(Config)) of
        {ok, _} -> say("listening on port ~b", [Port]);
        {error, Why} -> % some versions wrap eaddrinuse in what they were doing
            case string:find(io_lib:format("~p", [Why]), "eaddrinuse") of
                nomatch -> say("~p", [Why]);
                _ -> say("port in use", [])
            end,
            halt(1)
    end,
    timer:sleep(infinity).

options(#{dir := Dir, home := Home, force_command := Force, settings := Settings}) ->
    [{system_dir, Dir}, {user_dir, filename:join(Home, ".ssh")}, {auth_methods, "publickey"},
     {ssh_cli, {?MODULE, [Force, Home]}}, {subsystems, []}, {parallel_login, true} | Settings].

say(Format, Args) -> io:format(standard_error, Format ++ "~n", Args).

init([Force, Home]) -> {ok, #{force => Force, home => Home}}.

handle_msg({ssh_channel_up, Channel, Connection}, State) ->
    {ok, State#{channel => Channel, connection => Connection}};
handle_msg({Port, {data, Data}}, #{port := Port} = State) ->
    send(State, 0, Data),
    {ok, State};
handle_msg({Port, {exit_status, Status}}, #{port := Port, channel := Channel, connection := Connection} = State) ->
    {ok, Errors} = file:read_file(errors(State)),
    send(State, 1, Errors),
    ssh_connection:send_eof(Connection, Channel),
    ssh_connection:exit_status(Connection, Channel, Status),
    {stop, Channel, State}.

handle_ssh_msg({ssh_cm, Connection, {exec, Channel, WantReply, Command}}, #{force := Force, home := Home} = State) ->
    Run = case Force of "" -> Command; _ -> Force end,
    Port = open_port({spawn_executable, "/bin/sh"},
                     [binary, stream, exit_status, {env, [{"HOME", Home}]},
                      {args, ["-c", "exec /bin/sh -c \"$0\" 2>\"$1\" </dev/null", Run, errors(State)]}]),
    ssh_connection:reply_request(Connection, WantReply, success, Channel),
    {ok, State#{port => Port}};
handle_ssh_msg({ssh_cm, Connection, {env, Channel, WantReply, _, _}}, State) ->
    ssh_connection:reply_request(Connection, WantReply, failure, Channel),
    {ok, State};
handle_ssh_msg({ssh_cm, Connection, {shell, Channel, WantReply}}, State) ->
    ssh_connection:reply_request(Connection, WantReply, failure, Channel),
    {stop, Channel, State};
handle_ssh_msg({ssh_cm, _, _}, State) ->
    {ok, State}.

terminate(_, _) -> ok.

errors(#{home := Home}) -> filename:join(Home, pid_to_list(self())).

send(_, _, <<>>) -> ok;
send(#{channel := Channel, connection := Connection}, Type, Data) ->
    ssh_connection:send(Connection, Channel, Type, Data).
