"""The MQTT platform: deployments, private links, resources and rules; it reaches the fabric by the AWS SDK only."""
