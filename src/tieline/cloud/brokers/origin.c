/* A Mosquitto plugin (interface version 5) that tells the subscribers who published a message: it appends the user
 * properties "clientid" and, where the client has one, "username" behind whatever the client sent itself. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>

#define INTERFACE_VERSION 5

static mosquitto_plugin_id_t *self;

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
	result = append(&message->properties, "clientid", mosquitto_client_id(message->client));
	if (result == MOSQ_ERR_SUCCESS)
		result = append(&message->properties, "username", mosquitto_client_username(message->client));
	return result;
}

int mosquitto_plugin_version(int count, const int *versions)
{
	for (int i = 0; i < count; i++)
		if (versions[i] == INTERFACE_VERSION)
			return INTERFACE_VERSION;
	return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *options, int count)
{
	(void)userdata;
	(void)options;
	(void)count;
	self = id;
	return mosquitto_callback_register(self, MOSQ_EVT_MESSAGE, on_message, NULL, NULL);
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int count)
{
	(void)userdata;
	(void)options;
	(void)count;
	return mosquitto_callback_unregister(self, MOSQ_EVT_MESSAGE, on_message, NULL);
}
