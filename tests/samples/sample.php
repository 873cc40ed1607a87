<?php
$apiKey = 'your_api_key_here';
$baseUrl = 'https://your-domain.com/api/external';

$headers = [
    'X-API-Key: ' . $apiKey,
    'Content-Type: application/json'
];

// Create a single lead
$leadData = [
    'email' => 'prospect@company.com',
    'first_name' => 'John',
    'last_name' => 'Doe',
    'company' => 'Prospect Corp',
    'campaign_id' => 1
];

$ch = curl_init($baseUrl . '/leads');
curl_setopt($ch, CURLOPT_POST, true);
curl_setopt($ch, CURLOPT_POSTFIELDS, json_encode($leadData));
curl_setopt($ch, CURLOPT_HTTPHEADER, $headers);
curl_setopt($ch, CURLOPT_RETURNTRANSFER, true);

$response = curl_exec($ch);
$statusCode = curl_getinfo($ch, CURLINFO_HTTP_CODE);
curl_close($ch);

if ($statusCode === 200) {
    echo "Lead created successfully: " . $response;
} else {
    echo "Error: " . $response;
}
?>
