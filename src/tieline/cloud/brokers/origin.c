/* A Mosquitto plugin (interface version 5) that tells the subscribers who published a message: it appends the user
 * properties "id", "peerhost", "clientid" and, where the client has one, "username" behind whatever the client sent
 * itself. The id is the message's own: it stays the same however often the message is delivered.
 *
 * It also keeps a gate: until the file of the option "gate" exists nobody is let in but the user of the option "agent".
 * Mosquitto 2.0 forgets shared subscriptions when it ends, so that what devices publish after a start, and before the
 * agent has subscribed again, would reach nobody.
 *
 * Client ids that begin with the option "reserved" are the agent's: whoever had one would take over its session, and
 * receive what the rules are to receive. Nobody else is let in with one. */

#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>

#define INTERFACE_VERSION 5

static mosquitto_plugin_id_t *self;
static uint64_t life; /* of this broker process: its start in nanoseconds, which no other life of it shares */
static uint64_t count;
static const char *gate;
static const char *agent;
static const char *reserved;
static bool is_open;

static int append_id(mosquitto_property **properties)
{
	char text[2 * 16 + 1];

	snprintf(text, sizeof text, "%016llX%llX", (unsigned long long)life, (unsigned long long)++count);
	return mosquitto_property_add_string_pair(properties, MQTT_PROP_USER_PROPERTY, "id", text);
}

static int append(mosquitto_property **properties, const char *name, const char *value)
{
	if (value == NULL)
		return MOSQ_ERR_SUCCESS;
	return mosquitto_property_add_string_pair(properties, MQTT_PROP_USER_PROPERTY, name, value);
}

static int on_message(int event, void *data, void *userdata)
{
	struct mosquitto_evt_message *message = data;
	int result;

	(void)event;
	(void)userdata;
	/* Without its origin a message would look like one of another client: better not to pass it on. */
	result = append_id(&message->properties);
	if (result == MOSQ_ERR_SUCCESS)
		result = append(&message->properties, "peerhost", mosquitto_client_address(message->client));
	if (result == MOSQ_ERR_SUCCESS)
		result = append(&message->properties, "clientid", mosquitto_client_id(message->client));
	if (result == MOSQ_ERR_SUCCESS)
		result = append(&message->properties, "username", mosquitto_client_username(message->client));
	return result;
}

/* Whether this client id is the agent's alone; one that is not told is treated as one that is. */
static bool is_reserved(const char *id)
{
	return reserved != NULL && (id == NULL || strncmp(id, reserved, strlen(reserved)) == 0);
}

static int on_login(int event, void *data, void *userdata)
{
	struct mosquitto_evt_basic_auth *login = data;

	(void)event;
	(void)userdata;
	if (agent != NULL && login->username != NULL && strcmp(login->username, agent) == 0)
		return MOSQ_ERR_PLUGIN_DEFER; /* whether it is the agent is for others to say: they know the password */
	if (is_reserved(mosquitto_client_id(login->client)))
		return MOSQ_ERR_AUTH;
	if (!is_open && (gate == NULL || access(gate, F_OK) == 0))
		is_open = true;
	if (is_open)
		return MOSQ_ERR_PLUGIN_DEFER;
	return MOSQ_ERR_UNKNOWN; /* the connection ends without an answer, as if nobody listened yet */
}

int mosquitto_plugin_version(int offered, const int *versions)
{
	for (int i = 0; i < offered; i++)
		if (versions[i] == INTERFACE_VERSION)
			return INTERFACE_VERSION;
	return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *options, int option_count)
{
	struct timespec now;

	(void)userdata;
	for (int i = 0; i < option_count; i++) {
		if (strcmp(options[i].key, "gate") == 0)
			gate = options[i].value;
		else if (strcmp(options[i].key, "agent") == 0)
			agent = options[i].value;
		else if (strcmp(options[i].key, "reserved") == 0)
			reserved = options[i].value;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	life = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	self = id;
	if (mosquitto_callback_register(self, MOSQ_EVT_BASIC_AUTH, on_login, NULL, NULL) != MOSQ_ERR_SUCCESS)
		return MOSQ_ERR_UNKNOWN;
	return mosquitto_callback_register(self, MOSQ_EVT_MESSAGE, on_message, NULL, NULL);
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
	(void)userdata;
	(void)options;
	(void)option_count;
	mosquitto_callback_unregister(self, MOSQ_EVT_BASIC_AUTH, on_login, NULL);
	return mosquitto_callback_unregister(self, MOSQ_EVT_MESSAGE, on_message, NULL);
}
